package import ATProtocol
import Base

/// What an instance's operator decides about identities and accounts.
package struct IdentityConfiguration: Sendable {
    /// Whether something is asked of a new account.
    package enum Requirement: Sendable, Hashable {
        case required
        case waived
    }

    /// Whether rules that protect the open network are relaxed for work on one machine.
    package enum Setting: Sendable, Hashable {
        case production
        /// Handles under `.test`, weak bootstrap passwords.
        case development
    }

    /// Where the server is reached: what DID documents name as the personal data server.
    package var origin: ServiceOrigin
    /// The server's own DID, a did:web of its host name.
    package var serviceDID: DID
    /// The domains under which the server gives handles; the first is the one bare names mean.
    package var handleDomains: HandleDomains
    /// Whether a new account needs an invite code (`KITH_INVITE_REQUIRED`).
    package var invites = Requirement.required
    /// Whether a new account waits for a moderator (`KITH_APPROVAL_REQUIRED`).
    package var approval = Requirement.required
    /// The administrator made at the first start, if the operator names one.
    package var bootstrap: BootstrapAdministrator?
    /// The password of HTTP Basic `admin`; nil admits nobody that way. Never logged.
    package var operatorPassword: String?
    /// The did:plc directory to register identities with; nil for the embedded one (`KITH_PLC_URL`).
    package var plcDirectory: ServiceOrigin?
    /// Where did:plc identities are looked up that the own directory doesn't know; nil to look nowhere else.
    package var publicPLCDirectory = ServiceOrigin("https://plc.directory")
    package var setting = Setting.production
    /// What a password's hash costs.
    package var passwordCost = PasswordCost.standard
    package var limits = IdentityLimits()
    /// How long after an attempt to sign in a failure is told, at the soonest.
    package var signInFailureTimeMin = Duration.milliseconds(350)

    /// - Parameters:
    ///   - origin: scheme, public host name and port.
    ///   - handleDomains: see `HandleDomains`.
    package init(origin: ServiceOrigin, handleDomains: HandleDomains) {
        self.origin = origin
        self.handleDomains = handleDomains
        serviceDID = Self.serviceDID(of: origin)
    }

    /// `did:web:host`, with `%3A` and the port where the origin names one.
    private static func serviceDID(of origin: ServiceOrigin) -> DID {
        let text = "did:web:" + origin.host + (origin.port.map { "%3A\($0)" } ?? "")
        // The characters of a host and the digits of a port are all allowed in a DID, and its end is one of them.
        guard let did = try? DID(parsing: text) else { preconditionFailure("\(text) is no DID") }
        return did
    }
}

/// The administrator the operator names in the configuration.
package struct BootstrapAdministrator: Sendable {
    /// A bare name or a whole handle.
    package var handle: String
    package var email: String
    /// Never logged.
    package var password: String

    package init(handle: String, email: String, password: String) {
        self.handle = handle
        self.email = email
        self.password = password
    }
}

/// The bounds of the Identity rooms.
package struct IdentityLimits: Sendable {
    /// Accounts whose standing is kept in memory, about 300 bytes each. More are read again.
    package var standingsCachedMax = 20_000
    /// Sessions known to be alive that are kept in memory, about 150 bytes each. More are read again.
    package var sessionsCachedMax = 50_000
    /// Opened signing keys kept in memory. More are opened again.
    package var signersCachedMax = 4_096
    /// DID documents kept in memory, usually below 2 kB each. More are fetched again.
    package var documentsCachedMax = 2_000
    /// Resolved foreign handles kept in memory. More are resolved again.
    package var handlesCachedMax = 5_000
    /// Sessions of one account; the oldest ends when one more begins.
    package var sessionsPerAccountMax = 500
    /// App passwords of one account; a further one is refused.
    package var appPasswordsMax = 100
    /// Password hashes made at the same time, each on a thread of its own with about 32 MB.
    package var hashesRunningMax = 2
    /// Password hashes that wait; a further one is refused with 503.
    package var hashesWaitingMax = 200
    /// Signing keys reserved and not yet claimed, in all; a further one is refused.
    package var reservedKeysMax = 10_000

    package init() {}
}
