package import ATProtocol
package import Base
import Contracts

/// Service tokens: short-lived JSON Web Tokens that an account's own key signs, for one call to one other service.
///
/// ```
/// {"typ":"JWT","alg":"ES256K"}  {iss, aud, lxm, exp, iat, jti}
/// ```
/// - Spec: https://atproto.com/specs/xrpc#inter-service-authentication-jwt
package struct ServiceTokens: Sendable {
    private let directory: DirectoryService
    private let clock: any WallClock
    private let randomness: any Randomness
    private let audience: String

    /// How far ahead a token may expire, and how far clocks may differ.
    static let lifetimeMax = Duration.seconds(3600)
    static let skew = Duration.seconds(60)
    /// The life of a token that names no method, and of one whose caller doesn't say.
    static let lifetimeDefault = Duration.seconds(60)

    package init(directory: DirectoryService, randomness: any Randomness) {
        self.directory = directory
        clock = directory.clock
        self.randomness = randomness
        audience = directory.configuration.serviceDID.string
    }

    // MARK: Making

    /// Methods that nobody else may be empowered to call in an account's name.
    static let protectedMethods: Set<String> = [
        "com.atproto.admin.sendEmail", "com.atproto.identity.requestPlcOperationSignature",
        "com.atproto.identity.signPlcOperation", "com.atproto.identity.updateHandle",
        "com.atproto.server.activateAccount", "com.atproto.server.confirmEmail",
        "com.atproto.server.createAppPassword", "com.atproto.server.deactivateAccount",
        "com.atproto.server.getAccountInviteCodes", "com.atproto.server.getSession",
        "com.atproto.server.listAppPasswords", "com.atproto.server.requestAccountDelete",
        "com.atproto.server.requestEmailConfirmation", "com.atproto.server.requestEmailUpdate",
        "com.atproto.server.revokeAppPassword", "com.atproto.server.updateEmail",
    ]

    /// A token of the account `did`.
    ///
    /// - Parameters:
    ///   - audience: a DID, or a DID with `#service`; copied as given.
    ///   - lifetime: positive.
    /// - Throws: `SigningKeyError.notInCustody`; storage errors.
    package func make(did: DID, audience: String, method: NSID?, expiresAt: Timestamp) async throws -> String {
        let key = try await directory.custody.signingKey(of: did)
        var claims: DataMap = [
            "iss": .string(did.string), "aud": .string(audience), "exp": .integer(expiresAt.seconds),
            "iat": .integer(clock.now().seconds), "jti": .string(Hex.encode(randomness.bytes(16))),
        ]
        claims["lxm"] = method.map { .string($0.string) }
        let header: DataValue = ["typ": "JWT", "alg": .string(key.algorithm.jwtName)]
        let signed = Base64URL.encode(header.json()) + "." + Base64URL.encode(DataValue.map(claims).json())
        return signed + "." + Base64URL.encode(key.sign(Array(signed.utf8)))
    }

    // MARK: Reading

    /// Who a token proves to have sent it.
    package struct Issuer: Sendable, Hashable {
        package var did: DID
        /// The service of that DID in whose name it speaks, e.g. `atproto_labeler`; nil for the identity itself.
        package var service: String?
        package var method: NSID?
    }

    private struct Parsed {
        var issuer: Issuer
        var signed: [UInt8]
        var signature: [UInt8]
        var algorithm: KeyAlgorithm
    }

    /// Checks a token sent to this server for `method`.
    ///
    /// A signature that fails is checked once more against the document fetched anew: keys rotate.
    /// - Throws: `SessionError.service`; storage errors.
    package func verify(_ token: String, method: NSID) async throws -> Issuer {
        let parsed = try parse(token, method: method)
        for freshness in [Freshness.cached, .fresh] {
            let document: DIDDocument
            do {
                document = try await directory.document(of: parsed.issuer.did, freshness: freshness)
            } catch is DirectoryError {
                throw SessionError.service(.badIssuer)
            }
            let name: PLCName = parsed.issuer.service == "atproto_labeler" ? "atproto_label" : .atproto
            guard let key = document.verificationMethod(named: name)?.publicKey, key.algorithm == parsed.algorithm
            else {
                continue
            }
            if key.isValid(malleableSignature: parsed.signature, for: parsed.signed) { return parsed.issuer }
        }
        throw SessionError.service(.badSignature)
    }

    private func parse(_ token: String, method: NSID) throws(SessionError) -> Parsed {
        guard token.utf8.count <= SessionTokens.lengthMax else { throw .service(.malformed) }
        let parts = token.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Self.json(parts[0]), let claims = Self.json(parts[1]),
            let signature = Base64URL.decode(parts[2]),
            let algorithm = header["alg"]?.stringValue.flatMap({ KeyAlgorithm(jwtName: $0) })
        else { throw .service(.malformed) }
        let type = header["typ"]?.stringValue?.lowercased()
        guard type == nil || !["at+jwt", "refresh+jwt", "dpop+jwt"].contains(type) else { throw .service(.badType) }
        guard let iss = claims["iss"]?.stringValue, let aud = claims["aud"]?.stringValue,
            let exp = claims["exp"]?.integerValue
        else { throw .service(.malformed) }
        try checkTime(exp)
        guard aud == audience || aud == audience + "#atproto_pds" else { throw .service(.wrongAudience) }
        guard claims["lxm"]?.stringValue == method.string else { throw .service(.wrongMethod) }
        let issuer = iss.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        guard let did = try? DID(parsing: String(issuer[0])) else { throw .service(.badIssuer) }
        let service = issuer.count == 2 ? String(issuer[1]) : nil
        guard service == nil || service == "atproto_labeler" else { throw .service(.untrustedIssuer) }
        return Parsed(
            issuer: Issuer(did: did, service: service, method: method),
            signed: Array("\(parts[0]).\(parts[1])".utf8), signature: signature, algorithm: algorithm)
    }

    private func checkTime(_ exp: Int64) throws(SessionError) {
        let now = clock.now()
        guard exp > now.advanced(by: .zero - Self.skew).seconds else { throw .service(.expired) }
        guard exp <= now.advanced(by: Self.lifetimeMax + Self.skew).seconds else { throw .service(.malformed) }
    }

    private static func json(_ part: Substring) -> DataMap? {
        Base64URL.decode(part).flatMap { try? DataValue(json: $0) }?.mapValue
    }
}
