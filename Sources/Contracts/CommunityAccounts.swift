package import ATProtocol
package import Storage

/// What a community is to be known by.
package struct CommunityIdentityRequest: Sendable, Hashable {
    /// Where its DID comes from.
    package enum Method: Sendable, Hashable {
        /// A new did:plc, whose strongest rotation key is handed to the owner.
        case plc
        /// did:web at a domain of the owner's: a host name, with a port only if it isn't 443.
        case web(domain: String)
    }

    /// A bare name, or a whole handle under a domain served here.
    package var handle: String
    package var method: Method
    /// Whether it is kept from everybody but its members.
    package var isConfined: Bool

    package init(handle: String, method: Method, isConfined: Bool) {
        self.handle = handle
        self.method = method
        self.isConfined = isConfined
    }
}

/// A community's identity, ready to be stored.
package struct PreparedCommunity: Sendable {
    package var did: DID
    package var handle: Handle
    /// Signs its repository.
    package var signer: any RepositorySigner
    /// The owner's rotation key of a did:plc: the private key as 64 hexadecimal digits, secp256k1. Kept nowhere.
    package var rotationKey: String?
    /// The document that the owner of a did:web has to publish.
    package var document: DIDDocument?
    /// What the room that owns accounts keeps to itself.
    package let content: any Sendable

    package init(
        did: DID, handle: Handle, signer: any RepositorySigner, rotationKey: String?, document: DIDDocument?,
        content: any Sendable
    ) {
        self.did = did
        self.handle = handle
        self.signer = signer
        self.rotationKey = rotationKey
        self.document = document
        self.content = content
    }
}

/// A change of the state of a community's account.
package enum CommunityAccountChange: Sendable, Hashable {
    /// By administrators.
    case suspend, unsuspend, takedown, restore
    /// Keeps it from everybody but its members from now on.
    case confine
    /// Shows it to everybody.
    case open
}

/// Why a community's account could not be made or changed.
package enum CommunityAccountError: Error, Sendable, Hashable {
    /// The handle cannot be given; the text says why.
    case invalidHandle(String)
    case handleTaken
    /// The domain of a did:web cannot be used; the text says why.
    case invalidDomain(String)
    /// There is an account with that DID.
    case taken
    case notFound
    /// The directory could not be asked to register the identity.
    case notRegistered
}

/// The accounts of communities: identity, keys, handle, hosting state and repository, as the room that governs them
/// sees them.
package protocol CommunityAccounts: Sendable {
    /// Makes keys and an identity. Nothing is stored here; an external directory is told of one that is not confined.
    /// - Throws: `CommunityAccountError`.
    func prepare(_ request: CommunityIdentityRequest) async throws -> PreparedCommunity
    /// Stores account, keys, identity and empty repository, and tells the network unless it is confined.
    /// - Throws: `CommunityAccountError.handleTaken`, `.taken`; storage errors.
    func create(_ prepared: PreparedCommunity, in scope: any WriteScope) throws
    /// Has an external directory know the identity of a confined community that is about to be opened. May be repeated.
    func prepareOpening(of did: DID) async throws
    /// Changes the hosting state; what holds already is no change.
    /// - Returns: whether anything changed.
    func change(_ did: DID, _ change: CommunityAccountChange, in scope: any WriteScope) throws -> Bool
    /// Removes account, keys and repository, and tells the network. The identity stays in its directory.
    func remove(_ did: DID, in scope: any WriteScope) throws
    /// After `remove` has landed: what was told of it must not be told again to those who catch up.
    func forgetEvents(of did: DID) async throws
}
