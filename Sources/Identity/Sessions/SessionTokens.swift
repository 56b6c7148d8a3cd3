import ATProtocol
import Base
import Contracts
import Crypto

/// Makes and reads the tokens of sessions: JSON Web Tokens signed with HMAC-SHA256 under the server's own secret.
///
/// ```
/// access   {"typ":"at+jwt","alg":"HS256"}       {scope, aud, sub, sid, iat, exp}        120 minutes
/// refresh  {"typ":"refresh+jwt","alg":"HS256"}  {scope, aud, sub, jti, iat, exp}        90 days
/// ```
/// `sid` names the session, so that ending it ends its access tokens. `jti` is the session and the number of the token
/// in it, so that a whole chain of tokens needs one row.
///
/// - Spec: https://atproto.com/specs/xrpc#authentication (legacy sessions)
struct SessionTokens: Sendable {
    /// A token of either kind as it was read. Only what the signature covers.
    struct Claims: Sendable, Hashable {
        var did: DID
        var scope: SessionScope
        /// The session, base64url.
        var sessionID: String
        /// The number of a refresh token; 0 for access tokens.
        var generation: Int64
    }

    /// What a token says it is, before anything is verified.
    enum Kind: Sendable, Hashable {
        case access
        case refresh
        /// Signed by somebody's own key: for `ServiceTokens`.
        case service
    }

    /// The longest token that is looked at, in bytes.
    static let lengthMax = 8_192
    static let accessHeader = #"{"typ":"at+jwt","alg":"HS256"}"#
    static let refreshHeader = #"{"typ":"refresh+jwt","alg":"HS256"}"#
    private static let accessPrefix = Base64URL.encode(Array(accessHeader.utf8)) + "."
    private static let refreshPrefix = Base64URL.encode(Array(refreshHeader.utf8)) + "."

    private let key: SymmetricKey
    private let audience: String

    /// - Parameter secret: 32 bytes.
    init(secret: [UInt8], audience: DID) {
        key = SymmetricKey(data: secret)
        self.audience = audience.string
    }

    // MARK: Making

    func access(_ family: SessionFamily, now: Timestamp) -> String {
        token(
            Self.accessPrefix, family, scope: family.scope, name: "sid", id: family.sessionID, issuedAt: now,
            lifetime: SessionFamily.accessLifetime)
    }

    /// The newest refresh token of the family: asked for again it is the same text.
    func refresh(_ family: SessionFamily) -> String {
        token(
            Self.refreshPrefix, family, scope: .refresh, name: "jti", id: Self.jti(family),
            issuedAt: family.rotatedAt, lifetime: SessionFamily.refreshLifetime)
    }

    private func token(
        _ prefix: String, _ family: SessionFamily, scope: SessionScope, name: String, id: String,
        issuedAt: Timestamp, lifetime: Duration
    ) -> String {
        // None of these texts has a character that JSON would escape: DIDs, base64url and our own words.
        let payload = """
            {"scope":"\(scope.rawValue)","sub":"\(family.did.string)","aud":"\(audience)","\(name)":"\(id)",\
            "iat":\(issuedAt.seconds),"exp":\(issuedAt.advanced(by: lifetime).seconds)}
            """
        let signed = prefix + Base64URL.encode(Array(payload.utf8))
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: key)
        return signed + "." + Base64URL.encode(Array(code))
    }

    // MARK: Reading

    /// What kind of token this is by its header. Nothing is verified.
    ///
    /// - Throws: `.invalidToken(.malformed)` for what is no token, and for algorithms nobody may use here.
    static func kind(of token: String) throws(SessionError) -> Kind {
        guard token.utf8.count <= lengthMax else { throw .invalidToken(reason: .malformed) }
        if token.hasPrefix(accessPrefix) { return .access }
        if token.hasPrefix(refreshPrefix) { return .refresh }
        let parts = token.utf8.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.decode(Substring(parts[0])),
            let value = try? DataValue(json: header), let name = value["alg"]?.stringValue,
            KeyAlgorithm(jwtName: name) != nil
        else { throw .invalidToken(reason: .malformed) }
        return .service
    }

    /// The claims of an access token.
    ///
    /// - Throws: `.invalidToken`, `.expiredToken`.
    func readAccess(_ token: String, now: Timestamp) throws(SessionError) -> Claims {
        let payload = try verified(token, prefix: Self.accessPrefix)
        guard let scope = payload["scope"]?.stringValue.flatMap({ SessionScope(rawValue: $0) }) else {
            throw .invalidToken(reason: .badScope)
        }
        guard scope != .refresh, payload["lxm"] == nil, payload["cnf"] == nil else {
            throw .invalidToken(reason: .badScope)
        }
        guard let id = payload["sid"]?.stringValue else { throw .invalidToken(reason: .malformed) }
        let did = try subject(payload)
        try Self.checkTime(payload, now: now)
        return Claims(did: did, scope: scope, sessionID: id, generation: 0)
    }

    /// What to make of a token whose time is over.
    enum Expiry: Sendable, Hashable {
        case refused
        /// Signing out works late, too.
        case ignored
    }

    /// The claims of a refresh token.
    ///
    /// - Throws: `.invalidToken`, `.expiredToken`.
    func readRefresh(_ token: String, now: Timestamp, expiry: Expiry = .refused) throws(SessionError) -> Claims {
        let payload = try verified(token, prefix: Self.refreshPrefix)
        guard payload["scope"]?.stringValue == SessionScope.refresh.rawValue else {
            throw .invalidToken(reason: .badScope)
        }
        guard let jti = payload["jti"]?.stringValue, let (id, generation) = Self.parse(jti: jti) else {
            throw .invalidToken(reason: .malformed)
        }
        let did = try subject(payload)
        if expiry == .refused { try Self.checkTime(payload, now: now) }
        return Claims(did: did, scope: .refresh, sessionID: Base64URL.encode(id), generation: generation)
    }

    private func verified(_ token: String, prefix: String) throws(SessionError) -> DataValue {
        guard token.utf8.count <= Self.lengthMax else { throw .invalidToken(reason: .malformed) }
        guard token.hasPrefix(prefix) else {
            let isOther = (try? Self.kind(of: token)).map { $0 != .service } ?? false
            throw .invalidToken(reason: isOther ? .badScope : .malformed)
        }
        let bytes = Array(token.utf8)
        guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")), dot > prefix.utf8.count,
            let code = Base64URL.decode(String(decoding: bytes[(dot + 1)...], as: UTF8.self)),
            HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: bytes[..<dot], using: key),
            let json = Base64URL.decode(String(decoding: bytes[prefix.utf8.count..<dot], as: UTF8.self)),
            let payload = try? DataValue(json: json)
        else { throw .invalidToken(reason: .malformed) }
        return payload
    }

    private func subject(_ payload: DataValue) throws(SessionError) -> DID {
        guard payload["aud"]?.stringValue == audience else { throw .invalidToken(reason: .wrongAudience) }
        guard let sub = payload["sub"]?.stringValue, let did = try? DID(parsing: sub) else {
            throw .invalidToken(reason: .malformed)
        }
        return did
    }

    private static func checkTime(_ payload: DataValue, now: Timestamp) throws(SessionError) {
        guard let exp = payload["exp"]?.integerValue else { throw .invalidToken(reason: .malformed) }
        guard now.seconds < exp else { throw .expiredToken }
    }

    private static func jti(_ family: SessionFamily) -> String {
        Base64URL.encode(family.id + withUnsafeBytes(of: family.generation.bigEndian) { Array($0) })
    }

    private static func parse(jti: String) -> (id: [UInt8], generation: Int64)? {
        guard let bytes = Base64URL.decode(jti), bytes.count == 24 else { return nil }
        let generation = bytes[16...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int64(exactly: generation).map { (Array(bytes[..<16]), $0) }
    }
}
