import Base
import Storage

/// The SQL of the set-up link.
enum SetupStore {
    static func holds(_ digest: [UInt8], in scope: any ReadScope) throws(StorageError) -> Bool {
        try scope.first("SELECT 1 FROM account_setup WHERE token = $1", [.blob(digest)]) != nil
    }

    static func remove(in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM account_setup")
    }

    static func replace(_ digest: [UInt8], now: Timestamp, in scope: any WriteScope) throws(StorageError) {
        try scope.execute(
            """
            INSERT INTO account_setup (id, token, made_at) VALUES (1, $1, $2)
            ON CONFLICT (id) DO UPDATE SET token = excluded.token, made_at = excluded.made_at
            """, [.blob(digest), .integer(now.microseconds)])
    }
}
