import ATProtocol
import Base
import Contracts
import Storage

/// An account that is being made.
struct AccountIntent: Sendable, Hashable {
    var account: AccountRow
    var key: KeyStore.SealedKey
    var genesis: PLCOperation?

    init(_ prepared: AccountService.Preparation) {
        account = prepared.account
        key = prepared.key
        genesis = prepared.genesis
    }

    /// What is kept beside the columns that must be unique.
    fileprivate var payload: [UInt8] {
        var map: DataMap = [
            "publicKey": .string(key.publicKey.didKey), "sealed": .bytes(key.sealed),
            "status": .string(account.status.rawValue), "roles": .string(ServerRole.stored(account.roles)),
            "announced": .boolean(account.isAnnounced), "operation": genesis?.value ?? .null,
        ]
        map["password"] = account.password.map { .string($0) }
        map["invite"] = account.invite.map { .string($0) }
        return DataValue.map(map).cbor()
    }

    /// From the columns `did, handle, email, payload, made_at`.
    fileprivate init(_ row: Row) throws {
        let payload = try DataValue(cbor: row.blob(3))
        let madeAt = Timestamp(microseconds: try row.integer(4))
        let status = payload["status"]?.stringValue.flatMap { AccountStatus(rawValue: $0) } ?? .pending
        account = AccountRow(
            did: try DID(parsing: row.text(0)), handle: try Handle(parsing: row.text(1)),
            email: try row.optionalText(2).flatMap { EmailAddress($0) }, password: payload["password"]?.stringValue,
            state: AccountState(status), statusAt: madeAt,
            roles: ServerRole.set(stored: payload["roles"]?.stringValue ?? ""),
            isAnnounced: payload["announced"]?.booleanValue ?? false, createdAt: madeAt,
            approvedAt: status == .approved ? madeAt : nil, invite: payload["invite"]?.stringValue)
        key = KeyStore.SealedKey(
            publicKey: try PublicKey(didKey: payload["publicKey"]?.stringValue ?? ""),
            sealed: payload["sealed"]?.bytesValue ?? [])
        genesis = try payload["operation"].flatMap { $0.isNull ? nil : try PLCOperation($0) }
    }
}

/// The SQL of accounts that are being made.
enum IntentStore {
    /// Intents settled in one go.
    private static let listMax = 100

    static func insert(_ intent: AccountIntent, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            "INSERT INTO account_intent (did, handle, email, payload, made_at) VALUES ($1, $2, $3, $4, $5)",
            [
                .text(intent.account.did.string), .text(intent.account.handle.string),
                .text(optional: intent.account.email?.string), .blob(intent.payload),
                .integer(intent.account.createdAt.microseconds),
            ])
    }

    static func remove(_ did: DID, in scope: any WriteScope) throws(StorageError) -> Bool {
        try scope.execute("DELETE FROM account_intent WHERE did = $1", [.text(did.string)]) == 1
    }

    /// Those made before `moment`, the oldest first.
    static func list(before moment: Timestamp, in scope: any ReadScope) throws -> [AccountIntent] {
        try scope.query(
            """
            SELECT did, handle, email, payload, made_at FROM account_intent WHERE made_at < $1 ORDER BY made_at LIMIT $2
            """, [.integer(moment.microseconds), .integer(listMax)]
        ).map { try AccountIntent($0) }
    }
}
