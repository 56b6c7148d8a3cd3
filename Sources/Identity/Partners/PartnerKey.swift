package import ATProtocol
package import Base
import Crypto
import Web

/// A key with which a partner of the operator's registers people, without its secret.
package struct PartnerKey: Sendable, Hashable {
    package var id: String
    /// What the operator calls the key.
    package var name: String
    /// Whose it is.
    package var partnerName: String
    /// The first characters of the key, by which its holder knows it again.
    package var prefix: String
    /// From where it may be used, e.g. `https://app.example`.
    package var origins: [String]
    /// Registrations within any hour, 1…10,000.
    package var hourlyMax: Int
    package var createdAt: Timestamp
    /// Nil for the operator's.
    package var createdBy: DID?
    package var revokedAt: Timestamp?
    package var lastUsedAt: Timestamp?
    package var registrationCount: Int64
    /// When all origins proved to be the partner's; shown, and asked for nowhere.
    package var verifiedAt: Timestamp?

    /// All that a key allows, so far.
    package static let permissions = ["register"]
    package static let hourlyLimits = 1...10_000
    package static let originsMax = 100
    /// Longest name of a key or a partner, in bytes.
    package static let nameLengthMax = 255
    /// Where an origin shows its proof.
    package static let proofPath = "/.well-known/openfederation-partner.json"

    package var isRevoked: Bool { revokedAt != nil }
}

/// The text of a partner key: `ofp_` and 64 characters that stand for 48 random bytes.
///
/// So much randomness needs no slow hash: trying all keys is out of reach however fast each try is.
enum PartnerKeyText {
    private static let head = "ofp_"
    private static let bytes = 48
    private static let prefixLength = 12

    static func make(_ randomness: any Randomness) -> String { head + Base64URL.encode(randomness.bytes(bytes)) }

    /// What is shown of a key in lists; nil for what can be no key.
    static func prefix(of text: String) -> String? {
        guard text.utf8.count == head.utf8.count + 64, text.hasPrefix(head), Base64URL.decode(text.dropFirst(4)) != nil
        else { return nil }
        return String(text.prefix(prefixLength))
    }

    /// What is kept of it.
    static func digest(_ text: String) -> SHA256Digest { SHA256.hash(data: Array("partner key\n\(text)".utf8)) }

    /// What is kept of the text that an origin publishes.
    static func proofDigest(_ text: String) -> SHA256Digest { SHA256.hash(data: Array("partner proof\n\(text)".utf8)) }
}

/// A web origin in its one form, `https://app.example` or `http://localhost:3000`.
enum WebOrigin {
    /// Nil when `text` is no origin: another scheme, credentials, a path.
    static func normalized(_ text: String) -> String? {
        guard !text.contains("?"), !text.contains("#"), let url = try? OutboundURL(parsing: text), url.target == "/"
        else {
            return nil
        }
        return url.origin
    }
}
