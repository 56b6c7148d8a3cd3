import Base
import Contracts
import Web

/// The operator's commands on the same machine: HTTP Basic with the password of the ticket in the data directory.
///
/// Made anew at each start; see `OperatorTicket` and docs/decisions/0006-commands-are-clients.md.
struct LocalOperator: Sendable {
    private let credential: [UInt8]

    init(password: Secret) {
        credential = Array("Basic \(Base64.encode(Array("admin:\(password.value)".utf8)))".utf8)
    }

    /// Whether the request carries the ticket and comes from this machine.
    func isCalling(_ head: RequestHead) -> Bool {
        guard let shown = head.header("authorization"), head.remoteAddress.isLoopback else { return false }
        return Self.areEqual(Array(shown.utf8), credential)
    }

    /// Compares in a time that tells nothing of where two texts of one length differ.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for (a, b) in zip(left, right) { difference |= a ^ b }
        return difference == 0
    }
}

extension String {
    fileprivate var isLoopback: Bool { self == "::1" || hasPrefix("127.") }
}
