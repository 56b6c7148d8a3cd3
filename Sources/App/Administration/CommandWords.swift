import ATProtocol
import Contracts

/// What options of commands may say.
package enum CommandWords {
    package static let accountStatuses = AccountStatus.allCases.map(\.rawValue)
    package static let roles = ServerRole.allCases.map(\.rawValue)
    package static let inviteStatuses = ["active", "expired", "exhausted"]
    /// Accounts one invite may admit.
    package static let inviteUses = 1...100_000

    /// Whether a text is a moment such as `2027-01-31T00:00:00Z`.
    package static func isMoment(_ text: String) -> Bool { (try? Datetime(parsing: text)) != nil }
}
