import ATProtocol
import Contracts
import Identity

/// What options of commands may say.
package enum CommandWords {
    package static let accountStatuses = AccountStatus.allCases.map(\.rawValue)
    package static let roles = ServerRole.allCases.map(\.rawValue)
    package static let inviteStatuses = ["active", "expired", "exhausted"]
    /// Accounts one invite may admit.
    package static let inviteUses = 1...100_000

    /// Accounts that a partner's key may make within an hour.
    package static let partnerHourlyLimits = PartnerKey.hourlyLimits

    /// Whether a text is a moment such as `2027-01-31T00:00:00Z`.
    package static func isMoment(_ text: String) -> Bool { (try? Datetime(parsing: text)) != nil }
}
