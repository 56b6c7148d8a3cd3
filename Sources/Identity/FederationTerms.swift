import ATProtocol
import Base
import Contracts
import Web

/// Says account errors in the words of OpenFederation's methods.
func inFederationTerms<T: Sendable>(_ body: () async throws -> T) async throws -> T {
    do { return try await body() } catch let error as AccountError { throw FederationFailure(error) }
}

extension RouteLimit where Caller == Contracts.Caller {
    /// By address, except for the operator, whose commands come from this machine and may be a script's.
    static func perCallerAddress(_ limit: RateLimit) -> RouteLimit {
        .per(limit) { call in
            if case .operator = call.caller { nil } else { call.head.addressKey }
        }
    }
}

extension XRPCCall {
    /// `limit` and `offset`, which the lexicon has bounded.
    var page: (limit: Int, offset: Int) {
        let limit = parameters["limit"]?.integerValue ?? 50
        let offset = parameters["offset"]?.integerValue ?? 0
        return (Int(min(max(limit, 1), 100)), Int(max(offset, 0)))
    }

    /// A page with what it is a page of.
    func page(of name: String, _ rows: [DataValue], total: Int) -> DataValue {
        let (limit, offset) = page
        return .map([
            name: .array(rows), "total": .integer(Int64(total)), "limit": .integer(Int64(limit)),
            "offset": .integer(Int64(offset)),
        ])
    }
}
