import ATProtocol
import Base
import Crypto

/// Who asks a bucket. Printed, logged or dumped it shows nothing of itself.
package struct S3Credentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let accessKey: String
    let secretKey: String
    let sessionToken: String?

    /// - Parameter sessionToken: for temporary credentials.
    package init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }

    package var description: String { "<credentials>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// AWS Signature Version 4 for S3
/// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html). Pure.
struct S3Signature: Sendable {
    typealias Pair = (name: String, value: String)

    let credentials: S3Credentials
    let region: String

    private static let algorithm = "AWS4-HMAC-SHA256"
    /// The longest time a presigned address may hold.
    static let lifetimeMax = Duration.seconds(7 * 86400)

    /// The hash of a body, as `headers` takes it.
    static func hash(_ body: [UInt8]) -> String { Hex.encode(SHA256.hash(data: body)) }

    /// The headers of a request with its signature added; every one given is signed.
    /// - Parameters:
    ///   - path: not percent-encoded.
    ///   - bodyHash: SHA-256 of the body in hexadecimal.
    func headers(
        _ method: String, authority: String, path: String, query: [Pair], headers: [Pair], bodyHash: String,
        at moment: Timestamp
    ) -> [Pair] {
        let time = Self.time(moment)
        var sent = headers + [("x-amz-content-sha256", bodyHash), ("x-amz-date", time)]
        if let token = credentials.sessionToken { sent.append(("x-amz-security-token", token)) }
        let signed = ([("host", authority)] + sent).map { (name: $0.0.lowercased(), value: Self.trimmed($0.1)) }
            .sorted { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let canonical = [
            method, PercentEncoding.encode(path, keepingSlashes: true), Self.query(query),
            signed.map { "\($0.name):\($0.value)\n" }.joined(), names, bodyHash,
        ].joined(separator: "\n")
        let value =
            "\(Self.algorithm) Credential=\(credentials.accessKey)/\(scope(time)), SignedHeaders=\(names), "
            + "Signature=\(signature(of: canonical, time))"
        sent.append(("authorization", value))
        return sent
    }

    /// The path and query of an address with which anybody may GET an object for a while.
    /// - Parameters:
    ///   - query: what the answer shall look like, e.g. `response-content-type`; can't be changed by its user.
    ///   - lifetime: 1 s to `lifetimeMax`; clamped.
    func presigned(
        authority: String, path: String, query: [Pair], lifetime: Duration, at moment: Timestamp
    ) -> String {
        let time = Self.time(moment)
        let seconds = min(max(lifetime, .seconds(1)), Self.lifetimeMax).components.seconds
        var all =
            query + [
                ("X-Amz-Algorithm", Self.algorithm), ("X-Amz-Credential", "\(credentials.accessKey)/\(scope(time))"),
                ("X-Amz-Date", time), ("X-Amz-Expires", String(seconds)), ("X-Amz-SignedHeaders", "host"),
            ]
        if let token = credentials.sessionToken { all.append(("X-Amz-Security-Token", token)) }
        let encoded = PercentEncoding.encode(path, keepingSlashes: true)
        let canonical = [
            "GET", encoded, Self.query(all), "host:\(authority)\n", "host", "UNSIGNED-PAYLOAD",
        ].joined(separator: "\n")
        return "\(encoded)?\(Self.query(all))&X-Amz-Signature=\(signature(of: canonical, time))"
    }

    /// A query as it is signed and sent: encoded, in the order of its encoded names.
    static func query(_ pairs: [Pair]) -> String {
        pairs.map { (PercentEncoding.encode($0.name), PercentEncoding.encode($0.value)) }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    private func signature(of canonical: String, _ time: String) -> String {
        let text = [
            Self.algorithm, time, scope(time), Hex.encode(SHA256.hash(data: Array(canonical.utf8))),
        ].joined(separator: "\n")
        var key = Array("AWS4\(credentials.secretKey)".utf8)
        for part in [String(time.prefix(8)), region, "s3", "aws4_request", text] { key = Self.hmac(part, key) }
        return Hex.encode(key)
    }

    private func scope(_ time: String) -> String { "\(time.prefix(8))/\(region)/s3/aws4_request" }

    private static func hmac(_ text: String, _ key: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
    }

    /// `20130524T000000Z`.
    private static func time(_ moment: Timestamp) -> String {
        Datetime(moment).string.prefix(19).filter { $0 != "-" && $0 != ":" } + "Z"
    }

    /// Without spaces at the ends, and with single ones inside.
    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }
}
