import ATProtocol
import Storage

/// The SQL of the reasons that the staff gave for what they hold against accounts.
enum ReasonStore {
    static func set(
        _ reason: String, for measure: AccountState.Measure, of did: DID, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO account_reason (did, measure, reason) VALUES ($1, $2, $3)
            ON CONFLICT (did, measure) DO UPDATE SET reason = excluded.reason
            """, [.text(did.string), .text(measure.rawValue), .text(reason)])
    }

    static func remove(
        _ measure: AccountState.Measure, of did: DID, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            "DELETE FROM account_reason WHERE did = $1 AND measure = $2", [.text(did.string), .text(measure.rawValue)])
    }

    static func removeAll(of did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM account_reason WHERE did = $1", [.text(did.string)])
    }

    static func reasons(of did: DID, in scope: any ReadScope) throws(StorageError) -> [AccountState.Measure: String] {
        var reasons: [AccountState.Measure: String] = [:]
        for row in try scope.query("SELECT measure, reason FROM account_reason WHERE did = $1", [.text(did.string)]) {
            guard let measure = AccountState.Measure(rawValue: try row.text(0)) else { continue }
            reasons[measure] = try row.text(1)
        }
        return reasons
    }
}
