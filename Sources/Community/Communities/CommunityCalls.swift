import ATProtocol
import Base
import Contracts
import Storage
import Web

/// What the routes of communities read from a call.
extension XRPCCall where Caller == Contracts.Caller {
    /// The community that the call names, by either of the two names that methods have for it.
    ///
    /// - Throws: `SyntaxError`, which a lexicon has ruled out.
    func community() throws -> DID {
        let names = ["communityDid", "did"]
        let named = names.lazy.compactMap { parameter($0) ?? input[$0]?.stringValue }.first
        return try DID(parsing: named ?? "")
    }

    func did(_ name: String) throws -> DID { try DID(parsing: parameter(name) ?? text(name) ?? "") }

    func text(_ name: String) -> String? { input[name]?.stringValue }

    /// - Throws: `CommunityError.signInNeeded`.
    func member() throws(CommunityError) -> AccountCaller {
        guard let account = caller.account else { throw .signInNeeded }
        return account
    }

    /// Somebody, or the operator.
    /// - Throws: `CommunityError.signInNeeded`.
    func somebody() throws(CommunityError) -> Caller {
        switch caller {
        case .account, .operator: return caller
        case .anonymous, .service: throw .signInNeeded
        }
    }

    /// `limit` and `offset`, which the lexicon has bounded.
    var page: (limit: Int, offset: Int) {
        let limit = parameters["limit"]?.integerValue ?? 50
        let offset = parameters["offset"]?.integerValue ?? 0
        return (Int(min(max(limit, 1), 100)), Int(min(max(offset, 0), 1_000_000_000)))
    }

    /// A page with what it is a page of.
    func page(of name: String, _ rows: [DataValue], total: Int64) -> DataMap {
        let (limit, offset) = page
        return [
            name: .array(rows), "total": .integer(max(0, total)), "limit": .integer(Int64(limit)),
            "offset": .integer(Int64(offset)),
        ]
    }
}

extension AccessRule {
    /// A person's whole session, or the operator: what members do by their roles, and administrators for them.
    static let governing = AccessRule(.anyRole(Set(ServerRole.allCases)))
}

/// Cursors of lists: opaque, and good only where they were given.
struct CommunityCursors: Sendable {
    private static let purpose = KeyPurpose("community.cursor")
    let vault: KeyVault

    func cursor(_ position: String, of list: String) throws -> String {
        Base64URL.encode(try vault.seal(Array(position.utf8), purpose: Self.purpose, owner: list))
    }

    /// - Throws: `CommunityError.invalid` for one that was not given for this list.
    func position(_ cursor: String?, of list: String) throws(CommunityError) -> String? {
        guard let cursor else { return nil }
        guard let sealed = Base64URL.decode(cursor),
            let opened = try? vault.open(sealed, purpose: Self.purpose, owner: list),
            let text = String(validating: opened, as: UTF8.self)
        else { throw .invalid("The cursor is not one of this list") }
        return text
    }
}
