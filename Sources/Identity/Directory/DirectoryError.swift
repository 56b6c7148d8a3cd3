package import Base

/// Why an identity cannot be found or changed.
package enum DirectoryError: Error, Sendable, Hashable {
    /// The handle leads nowhere.
    case handleNotFound
    /// No document for the DID, or a DID of a method that isn't known here.
    case didNotFound
    /// The identity was ended by its owner.
    case didDeactivated
    /// Another server had to be asked and did not answer.
    case unreachable
    /// The directory of did:plc refused an operation; its reason for a person.
    case refused(reason: String)
    /// The server holds no rotation key of the identity, so that only its owner can change it.
    case notInCustody
    /// Too many signing keys are reserved and not claimed.
    case tooManyReservations
    /// A cursor or count of the export is malformed.
    case badCursor(String)
}

extension DirectoryError: WireConvertible {
    package var wire: WireFailure {
        switch self {
        case .handleNotFound:
            WireFailure(status: 400, error: "HandleNotFound", message: "Unable to resolve handle")
        case .didNotFound: WireFailure(status: 400, error: "DidNotFound", message: "Unable to resolve DID")
        case .didDeactivated: WireFailure(status: 400, error: "DidDeactivated", message: "The DID was deactivated")
        case .unreachable:
            WireFailure(
                status: 502, error: "UpstreamFailure", message: "The server in charge of the identity did not answer")
        case .refused(let reason):
            WireFailure(status: 400, error: "InvalidRequest", message: "The directory refused the operation: \(reason)")
        case .notInCustody:
            WireFailure(
                status: 400, error: "InvalidRequest",
                message: "This server holds no rotation key of the identity; its owner has to change it")
        case .tooManyReservations:
            WireFailure(status: 503, error: "NotEnoughResources", message: "Too many signing keys are reserved")
        case .badCursor(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
        }
    }
}
