import Base
import Contracts
import Identity
import Web

/// Finds out who calls: the operator at this machine by the ticket in the data directory, everybody else as Identity says.
struct CallerDoor: Sendable {
    let local: LocalOperator
    let authenticator: Authenticator

    func caller(for rule: AccessRule, _ head: RequestHead) async throws -> Caller {
        guard rule.credential != .none, rule.credential != .refreshToken, let shown = head.header("authorization"),
            shown.hasPrefix("Basic "), admitsOperator(rule)
        else { return try await authenticator.caller(for: rule, head) }
        if local.isCalling(head) { return .operator }
        return try await authenticator.caller(for: rule, head)
    }

    /// The operator has no account: routes that act for one are not theirs.
    private func admitsOperator(_ rule: AccessRule) -> Bool {
        switch rule.credential {
        case .optional, .anyRole: true
        case .none, .session, .privilegedSession, .fullSession, .refreshToken, .sessionOrService: false
        }
    }
}

/// The operator's commands on the same machine: HTTP Basic with the password of the ticket in the data directory.
///
/// Made anew at each start; see `OperatorTicket` and docs/decisions/0006-commands-are-clients.md.
struct LocalOperator: Sendable {
    private let credential: [UInt8]

    init(password: Secret) {
        credential = Self.credential(password)
    }

    /// What an `Authorization` header holds for the password.
    static func credential(_ password: Secret) -> [UInt8] {
        Array("Basic \(Base64.encode(Array("admin:\(password.value)".utf8)))".utf8)
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
