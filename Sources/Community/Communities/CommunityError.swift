package import Base

/// Why something can't be done in a community. Nothing was changed.
package enum CommunityError: Error, Sendable, Hashable, WireConvertible {
    /// There is no such community, or none that the caller may know of.
    case notFound
    /// The caller is no member.
    case notMember
    /// The person named is no member.
    case noSuchMember
    /// The caller's role doesn't allow it.
    case forbidden
    case suspended
    case takenDown
    /// It takes a decision of the community.
    case needsProposal
    case alreadyMember
    case alreadyRequested
    case alreadyResolved
    case alreadyOwner
    case requestNotFound
    case roleNotFound
    case roleNameTaken
    case roleInUse
    /// The owner role would lose what it needs, or the community its last owner.
    case ownerLockout
    /// The owner's membership is changed by `addOwner` and `transferOwnership` alone.
    case cannotChangeOwner
    /// A member's attributes, or an attestation's claim: what, and how much is allowed.
    case payloadTooLarge(String)
    case invalid(String)
    /// Somebody must be signed in.
    case signInNeeded
    /// The last owner cannot go.
    case lastOwner
    case handleTaken
    case invalidHandle(String)
    case invalidDomain(String)
    case identityCreationFailed
    case alreadySuspended, notSuspended, alreadyTakenDown, notTakenDown
    /// There is no export that the owners could fetch, and none can be kept: why.
    case exportRequired(String)
    case snapshotNotFound
    case applicationNotFound
    case applicationLinked

    package var wire: WireFailure {
        switch self {
        case .notFound: WireFailure(status: 404, error: "NotFound", message: "There is no such community.")
        case .notMember: WireFailure(status: 403, error: "NotMember", message: "You are not a member of it.")
        case .noSuchMember: WireFailure(status: 404, error: "NotMember", message: "They are not a member of it.")
        case .forbidden: WireFailure(status: 403, error: "Forbidden", message: "Your role does not allow this.")
        case .suspended:
            WireFailure(status: 403, error: "CommunitySuspended", message: "The community is suspended.")
        case .takenDown:
            WireFailure(status: 410, error: "CommunityTakenDown", message: "The community was taken down.")
        case .needsProposal:
            WireFailure(
                status: 403, error: "GovernanceDenied", message: "This takes a proposal that the community votes on.",
                details: [.init(name: "requiresProposal", value: .boolean(true))])
        case .alreadyMember: WireFailure(status: 409, error: "AlreadyMember", message: "They are a member already.")
        case .alreadyRequested:
            WireFailure(status: 409, error: "AlreadyRequested", message: "A request waits to be answered already.")
        case .alreadyResolved:
            WireFailure(status: 409, error: "AlreadyResolved", message: "The request was answered already.")
        case .alreadyOwner: WireFailure(status: 409, error: "AlreadyOwner", message: "They are an owner already.")
        case .requestNotFound: WireFailure(status: 404, error: "NotFound", message: "There is no such request.")
        case .roleNotFound: WireFailure(status: 404, error: "RoleNotFound", message: "There is no such role.")
        case .roleNameTaken: WireFailure(status: 409, error: "RoleNameTaken", message: "A role has that name.")
        case .roleInUse: WireFailure(status: 409, error: "RoleInUse", message: "Members hold that role.")
        case .ownerLockout:
            WireFailure(
                status: 400, error: "OwnerLockout",
                message: "The community would be left without an owner who can run it.")
        case .cannotChangeOwner:
            WireFailure(
                status: 403, error: "CannotChangeOwner",
                message: "Owners are made with addOwner and transferOwnership, and go by leaving.")
        case .payloadTooLarge(let message): WireFailure(status: 413, error: "PayloadTooLarge", message: message)
        case .invalid(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        default: furtherWire
        }
    }

    private var furtherWire: WireFailure {
        switch self {
        case .signInNeeded: WireFailure(status: 401, error: "AuthMissing", message: "Authentication Required")
        case .lastOwner:
            WireFailure(
                status: 403, error: "Forbidden",
                message: "The last owner cannot leave: make somebody else an owner, or delete the community.")
        case .handleTaken: WireFailure(status: 409, error: "HandleTaken", message: "The handle is taken.")
        case .invalidHandle(let message): WireFailure(status: 400, error: "InvalidHandle", message: message)
        case .invalidDomain(let message): WireFailure(status: 400, error: "InvalidDomain", message: message)
        case .identityCreationFailed:
            WireFailure(
                status: 502, error: "IdentityCreationFailed", message: "The directory did not take the identity.")
        case .alreadySuspended:
            WireFailure(status: 409, error: "AlreadySuspended", message: "It is suspended already.")
        case .notSuspended: WireFailure(status: 409, error: "NotSuspended", message: "It is not suspended.")
        case .alreadyTakenDown:
            WireFailure(status: 409, error: "AlreadyTakenDown", message: "It was taken down already.")
        case .notTakenDown: WireFailure(status: 409, error: "NotTakenDown", message: "It was not taken down.")
        case .exportRequired(let message): WireFailure(status: 409, error: "ExportRequired", message: message)
        case .snapshotNotFound:
            WireFailure(status: 404, error: "SnapshotNotFound", message: "There is no such snapshot.")
        case .applicationNotFound:
            WireFailure(status: 404, error: "ApplicationNotFound", message: "There is no such link.")
        case .applicationLinked: WireFailure(status: 409, error: "Conflict", message: "That place is linked already.")
        default: WireFailure(status: 403, error: "Forbidden", message: "Your role does not allow this.")
        }
    }
}
