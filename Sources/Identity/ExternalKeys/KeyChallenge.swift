package import ATProtocol
package import Base

/// What somebody signs with a key to show that they hold it: a line that names the account, the key and the server.
///
/// ```
/// kith-key-proof-1 did:plc:… z6Mk… did:web:kith.example 2026-01-01T00:00:00.000Z 9Wq…
/// ```
/// The server keeps nothing of it: only the holder of the key can sign such a line, and whoever reads the record can check
/// it again, on any server. The moment in it, which may be ten minutes ahead at most, keeps lines from being signed in store.
package struct KeyChallenge: Sendable, Hashable {
    private static let form = "kith-key-proof-1"
    /// How long a challenge may be answered.
    static let lifetime = Duration.seconds(600)

    package var did: DID
    /// The key in its text form.
    package var key: String
    /// The server that asked.
    package var service: DID
    package var expiresAt: Timestamp
    var nonce: String

    init(did: DID, key: ExternalKey, service: DID, now: Timestamp, randomness: any Randomness) {
        self.did = did
        self.key = key.text
        self.service = service
        expiresAt = Timestamp(seconds: now.advanced(by: Self.lifetime).seconds)
        nonce = Base64URL.encode(randomness.bytes(16))
    }

    /// Nil when `text` is no challenge, letter by letter.
    init?(_ text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 6, parts[0] == Self.form, let did = try? DID(parsing: parts[1]),
            let service = try? DID(parsing: parts[3]), let moment = try? Datetime(parsing: parts[4])
        else { return nil }
        self.did = did
        self.service = service
        key = parts[2]
        expiresAt = moment.timestamp
        nonce = parts[5]
        guard self.text == text else { return nil }
    }

    package var text: String { "\(Self.form) \(did) \(key) \(service) \(Datetime(expiresAt).string) \(nonce)" }

    /// Whether `signature` (base64) proves that the holder of `key` speaks for `did`. Whether it is still fresh is not asked:
    /// what was proven once stays proven.
    static func isProof(_ challenge: String, _ signature: String, of key: ExternalKey, by did: DID) -> Bool {
        guard let read = KeyChallenge(challenge), read.did == did, read.key == key.text,
            let bytes = Base64.decode(signature, padding: .optional)
        else { return false }
        return key.isValid(signature: bytes, for: Array(challenge.utf8))
    }
}
