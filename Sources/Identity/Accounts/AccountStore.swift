import ATProtocol
import Base
package import Contracts
import Storage

/// The SQL of the accounts.
enum AccountStore {
    static func insert(_ account: AccountRow, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO account (\(AccountRow.columns))
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
            """, account.parameters)
        try AccountCounts.add(account, in: scope)
    }

    static func account(_ did: DID, in scope: any ReadScope) throws -> AccountRow? {
        try first("did = $1", [.text(did.string)], in: scope)
    }

    static func account(_ handle: Handle, in scope: any ReadScope) throws -> AccountRow? {
        try first("handle = $1", [.text(handle.string)], in: scope)
    }

    static func account(_ email: EmailAddress, in scope: any ReadScope) throws -> AccountRow? {
        try first("email = $1", [.text(email.string)], in: scope)
    }

    /// Whether an account, or one that is just being made, has the handle.
    static func isTaken(_ handle: Handle, in scope: any ReadScope) throws(StorageError) -> Bool {
        let parameters: [SQLValue] = [.text(handle.string)]
        if try scope.first("SELECT 1 FROM account WHERE handle = $1", parameters) != nil { return true }
        return try scope.first("SELECT 1 FROM account_intent WHERE handle = $1", parameters) != nil
    }

    /// Whether an account, or one that is just being made, has the address.
    static func isTaken(_ email: EmailAddress, in scope: any ReadScope) throws(StorageError) -> Bool {
        let parameters: [SQLValue] = [.text(email.string)]
        if try scope.first("SELECT 1 FROM account WHERE email = $1", parameters) != nil { return true }
        return try scope.first("SELECT 1 FROM account_intent WHERE email = $1", parameters) != nil
    }

    static func setHandle(_ handle: Handle, of did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("UPDATE account SET handle = $2 WHERE did = $1", [.text(did.string), .text(handle.string)])
    }

    static func setPassword(_ hash: String, of did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("UPDATE account SET password = $2 WHERE did = $1", [.text(did.string), .text(hash)])
    }

    static func setRoles(_ roles: Set<ServerRole>, of did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "UPDATE account SET roles = $2 WHERE did = $1", [.text(did.string), .text(ServerRole.stored(roles))])
    }

    /// Writes the columns that a change of state touches.
    static func setState(_ account: AccountRow, in scope: any WriteScope) throws(StorageError) {
        try AccountCounts.subtract(account.did, in: scope)
        try AccountCounts.add(account, in: scope)
        try scope.execute(
            """
            UPDATE account SET status = $2, status_at = $3, announced = $4, approved_at = $5, delete_after = $6,
                state = $7
            WHERE did = $1
            """,
            [
                .text(account.did.string), .text(account.status.rawValue), .integer(account.statusAt.microseconds),
                .boolean(account.isAnnounced), .integer(optional: account.approvedAt?.microseconds),
                .integer(optional: account.deleteAfter?.microseconds), .text(account.state.stored),
            ])
    }

    static func remove(_ did: DID, in scope: any WriteScope) throws(StorageError) {
        try AccountCounts.subtract(did, in: scope)
        try ReasonStore.removeAll(of: did, in: scope)
        try PasswordResetStore.remove(did, in: scope)
        try scope.execute("DELETE FROM account WHERE did = $1", [.text(did.string)])
    }

    static func hasAdministrator(in scope: any ReadScope) throws(StorageError) -> Bool {
        try scope.first("SELECT 1 FROM account WHERE roles LIKE '% admin %' LIMIT 1") != nil
    }

    /// Deactivated accounts whose time is over, at most `limit`.
    static func expired(now: Timestamp, limit: Int, in scope: any ReadScope) throws -> [DID] {
        try scope.query(
            """
            SELECT did FROM account WHERE delete_after < $1 AND status = 'deactivated' ORDER BY delete_after LIMIT $2
            """, [.integer(now.microseconds), .integer(limit)]
        ).map { try DID(parsing: $0.text(0)) }
    }

    /// Accounts behind `did`, by DID.
    static func page(after did: String, limit: Int, in scope: any ReadScope) throws -> [AccountRow] {
        try scope.query(
            "SELECT \(AccountRow.columns) FROM account WHERE did > $1 ORDER BY did LIMIT $2",
            [.text(did), .integer(limit)]
        ).map { try AccountRow($0) }
    }

    /// Approved accounts, the newest first.
    static func newest(limit: Int, in scope: any ReadScope) throws -> [AccountRow] {
        try scope.query(
            """
            SELECT \(AccountRow.columns) FROM account WHERE status = 'approved' AND kind = 'person'
            ORDER BY created_at DESC LIMIT $1
            """, [.integer(limit)]
        ).map { try AccountRow($0) }
    }

    private static func first(
        _ condition: String, _ parameters: [SQLValue], in scope: any ReadScope
    ) throws -> AccountRow? {
        try scope.first("SELECT \(AccountRow.columns) FROM account WHERE \(condition)", parameters)
            .map { try AccountRow($0) }
    }
}

// MARK: - Lists

/// Which accounts a list shows.
package struct AccountFilter: Sendable, Hashable {
    package var status: AccountStatus?
    package var role: ServerRole?
    /// A part of the handle or of the address, in any case.
    package var text: String?

    package init(status: AccountStatus? = nil, role: ServerRole? = nil, text: String? = nil) {
        self.status = status
        self.role = role
        self.text = text
    }
}

extension AccountStore {
    /// A page of accounts, the oldest or the newest first, and how many there are in all.
    static func list(
        _ filter: AccountFilter, order: ListOrder, limit: Int, offset: Int, in scope: any ReadScope
    ) throws -> (accounts: [AccountRow], total: Int) {
        let (condition, parameters) = condition(filter)
        let total =
            if filter.role == nil, filter.text?.isEmpty ?? true {
                try AccountCounts.counts(in: scope).count(of: filter.status)
            } else {
                try scope.first("SELECT COUNT(*) FROM account \(condition)", parameters)?.integer(0) ?? 0
            }
        let direction = order == .newestFirst ? "DESC" : "ASC"
        let rows = try scope.query(
            """
            SELECT \(AccountRow.columns) FROM account \(condition) ORDER BY created_at \(direction), did \(direction)
            LIMIT $\(parameters.count + 1) OFFSET $\(parameters.count + 2)
            """, parameters + [.integer(limit), .integer(offset)])
        return (try rows.map { try AccountRow($0) }, Int(total))
    }

    private static func condition(_ filter: AccountFilter) -> (String, [SQLValue]) {
        var conditions = ["kind = 'person'"]
        var parameters: [SQLValue] = []
        if let status = filter.status {
            parameters.append(.text(status.rawValue))
            conditions.append("status = $\(parameters.count)")
        }
        if let role = filter.role {
            parameters.append(.text("% \(role.rawValue) %"))
            conditions.append("roles LIKE $\(parameters.count)")
        }
        if let text = filter.text, !text.isEmpty {
            parameters.append(.text("%" + escaped(text.lowercased()) + "%"))
            let n = parameters.count
            conditions.append("(handle LIKE $\(n) ESCAPE '\\' OR email LIKE $\(n) ESCAPE '\\')")
        }
        return ("WHERE " + conditions.joined(separator: " AND "), parameters)
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("%", with: "\\%").replacing("_", with: "\\_")
    }
}

/// In which order a list goes through time.
enum ListOrder: Sendable, Hashable {
    case oldestFirst
    case newestFirst
}
