package import ATProtocol
package import Base
package import Storage

/// What other rooms may know of an account.
package struct AccountStanding: Sendable, Hashable {
    package var did: DID
    /// The account's handle as last set here.
    package var handle: Handle
    package var status: AccountStatus
    package var roles: Set<ServerRole>
    package var kind: AccountKind
    /// Whether it is a private community, whatever else its status says.
    package var isConfined: Bool
    /// Whether the network was told of it, and so is to be told of changes while it is not confined.
    package var isAnnounced: Bool

    package init(
        did: DID, handle: Handle, status: AccountStatus, roles: Set<ServerRole>, kind: AccountKind = .person,
        isConfined: Bool = false, isAnnounced: Bool = true
    ) {
        self.did = did
        self.handle = handle
        self.status = status
        self.roles = roles
        self.kind = kind
        self.isConfined = isConfined
        self.isAnnounced = isAnnounced
    }

    /// Whether others may learn that there is such an account.
    package var isKnownOutside: Bool { !isConfined && status.isKnownOutside }
}

/// Whose repository an account is; raw values are stored.
package enum AccountKind: String, Sendable, Hashable {
    /// Somebody who signs in.
    case person
    /// Many, who act by its rules; nobody signs in as it.
    case community
}

/// The accounts of this server, as other rooms see them.
package protocol Accounts: Sendable {
    /// The account of `did`, or nil when it does not live here. From memory once read; changes are seen at once.
    func standing(of did: DID) async throws -> AccountStanding?
    /// The account a handle or DID names, or nil.
    func standing(of identifier: ATIdentifier) async throws -> AccountStanding?
    /// The accounts of `dids`, in any order; absent ones are left out.
    func standings(of dids: [DID]) async throws -> [AccountStanding]
    /// Where `did` stands in the very transaction of `scope`, changes made in it included; nil when it does not live here.
    ///
    /// For what must not land behind an account's takedown. One row by its primary key.
    func standing(of did: DID, in scope: any ReadScope) throws -> AccountStanding?
    /// People who may be shown on the start page, newest first.
    func publicPeople(limit: Int) async throws -> [AccountStanding]
}

/// Signing keys in the server's custody.
package protocol SigningKeys: Sendable {
    /// The key that signs the repository of `did`.
    ///
    /// - Throws: `SigningKeyError.notInCustody` when the server does not hold it.
    func signer(for did: DID) async throws -> any RepositorySigner
}

/// Why a repository cannot be signed here.
package enum SigningKeyError: Error, Sendable, Hashable, WireConvertible {
    /// The server holds no signing key for the account.
    case notInCustody

    package var wire: WireFailure {
        WireFailure(
            status: 400, error: "InvalidRequest", message: "This server does not hold the signing key of that account.")
    }
}

/// DID documents and handles, local and remote.
package protocol IdentityDirectory: Sendable {
    /// The DID document of `did`: embedded directory, the external one, or did:web; cached.
    func document(of did: DID) async throws -> DIDDocument
    /// The DID that `handle` points to, here or elsewhere; nil when it points nowhere.
    func resolve(_ handle: Handle) async throws -> DID?
}

/// What proves an identity to others, beside its document.
package protocol IdentityEvidence: IdentityDirectory {
    /// The document of `did` as it is now, past every cache: for one that no longer fits what its key signed.
    func currentDocument(of did: DID) async throws -> DIDDocument
    /// The operations in force of a did:plc, the first to the latest, as `/:did/log` of its directory shows them; nil for
    /// other identities. Another directory is asked each time.
    func operations(of did: DID) async throws -> DataValue?
}
