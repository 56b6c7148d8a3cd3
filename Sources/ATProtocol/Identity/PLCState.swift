/// What a did:plc operation says of the identity.
///
/// Keys and texts are kept as written: an operation's bytes must come out again exactly as they were signed.
///
/// - Spec: https://web.plc.directory/spec/v0.1/did-plc
package struct PLCState: Sendable, Hashable {
    /// did:keys that may change the identity, the strongest first.
    package var rotationKeys: [String]
    /// did:keys by name; `atproto` signs the repository.
    package var verificationMethods: [PLCName: String]
    /// URIs; the first `at://` is the handle.
    package var alsoKnownAs: [String]
    /// Services by name; `atproto_pds` is the personal data server.
    package var services: [PLCName: PLCService]

    package init(
        rotationKeys: [String], verificationMethods: [PLCName: String], alsoKnownAs: [String],
        services: [PLCName: PLCService]
    ) {
        self.rotationKeys = rotationKeys
        self.verificationMethods = verificationMethods
        self.alsoKnownAs = alsoKnownAs
        self.services = services
    }

    /// The state of an ordinary account.
    ///
    /// - Parameter pds: the server's origin, e.g. `https://pds.example.com`.
    package init(rotationKeys: [PublicKey], signingKey: PublicKey, handle: Handle, pds: String) {
        self.init(
            rotationKeys: rotationKeys.map(\.didKey),
            verificationMethods: [.atproto: signingKey.didKey],
            alsoKnownAs: ["at://\(handle.string)"],
            services: [.atprotoPDS: PLCService(type: PLCService.pdsType, endpoint: pds)])
    }
}

/// The name of a verification method or service: the fragment of its identifier. Compared by its bytes.
package struct PLCName: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let string: String

    package init(_ string: String) { self.string = string }

    package init(stringLiteral value: String) { string = value }

    package var description: String { string }

    /// The key that signs the repository.
    package static let atproto: PLCName = "atproto"
    /// The personal data server.
    package static let atprotoPDS: PLCName = "atproto_pds"

    // Strings compare by Unicode equivalence; two names that differ in bytes are two names.
    package static func == (left: PLCName, right: PLCName) -> Bool { DataMap.sameKey(left.string, right.string) }

    package func hash(into hasher: inout Hasher) {
        for byte in string.utf8 { hasher.combine(byte) }
    }
}

/// A service of an identity.
package struct PLCService: Sendable, Hashable {
    package var type: String
    /// A URL as written.
    package var endpoint: String

    package init(type: String, endpoint: String) {
        self.type = type
        self.endpoint = endpoint
    }

    /// The `type` of a personal data server.
    package static let pdsType = "AtprotoPersonalDataServer"
}

/// The first operation of identities made before 2023, no longer made but still to be verified.
package struct PLCLegacyCreate: Sendable, Hashable {
    package var signingKey: String
    package var recoveryKey: String
    package var handle: String
    package var service: String

    package init(signingKey: String, recoveryKey: String, handle: String, service: String) {
        self.signingKey = signingKey
        self.recoveryKey = recoveryKey
        self.handle = handle
        self.service = service
    }

    /// What an ordinary operation would say.
    package var state: PLCState {
        PLCState(
            rotationKeys: [recoveryKey, signingKey],
            verificationMethods: [.atproto: signingKey],
            alsoKnownAs: [handle.hasPrefix("at://") ? handle : "at://" + Self.withoutScheme(handle)],
            services: [
                .atprotoPDS: PLCService(
                    type: PLCService.pdsType, endpoint: Self.hasScheme(service) ? service : "https://" + service)
            ])
    }

    private static func hasScheme(_ text: String) -> Bool {
        text.hasPrefix("http://") || text.hasPrefix("https://")
    }

    private static func withoutScheme(_ text: String) -> Substring {
        for scheme in ["http://", "https://"] where text.hasPrefix(scheme) { return text.dropFirst(scheme.count) }
        return text[...]
    }
}
