import ATProtocol
import Base
import Contracts
import Storage
import Web

/// `social.kith.admin`: the database itself.
struct DatabaseRoutes: Sendable {
    let database: SwitchingDatabase
    let move: DatabaseMove
    let local: LocalOperator

    func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.query("social.kith.admin.getDatabaseStatus", access: .administrator) { _ in
            .json(try await DatabaseCopy.statusJSON(of: database.current, nil))
        }
        routes.procedure("social.kith.admin.copyDatabase", access: .administrator) { call in
            // It hands out everything the instance knows: for whoever can read its files anyway, and nobody else.
            guard local.isCalling(call.head) else { throw Refusal.notHere }
            do throws(DatabaseCommandError) {
                return .stream(
                    try move.copy(to: call.input["to"]?.stringValue ?? ""), contentType: "application/jsonl")
            } catch {
                throw Refusal.cannot("\(error)")
            }
        }
    }

    private enum Refusal: WireConvertible {
        case notHere
        case cannot(String)

        var wire: WireFailure {
            switch self {
            case .notHere:
                WireFailure(
                    status: 403, error: "Forbidden",
                    message: "The database is copied by a command on the server's own machine.")
            case .cannot(let message): WireFailure(status: 400, error: "InvalidRequest", message: message)
            }
        }
    }
}
