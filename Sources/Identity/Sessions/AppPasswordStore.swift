import ATProtocol
package import Base
import Storage

/// A password for one program, without its secret.
package struct AppPassword: Sendable, Hashable {
    /// Unique within the account.
    package var name: String
    package var privilege: Privilege
    package var createdAt: Timestamp

    /// What the password grants.
    package enum Privilege: Sendable, Hashable {
        case ordinary
        /// Private messages, too.
        case privileged
    }
}

/// The SQL of the app passwords.
enum AppPasswordStore {
    /// Keeps a password; false when there is one of that name.
    static func insert(
        _ password: AppPassword, digest: [UInt8], of did: DID, in scope: any WriteScope
    ) throws(StorageError) -> Bool {
        try scope.execute(
            """
            INSERT INTO app_password (did, name, digest, privileged, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (did, name) DO NOTHING
            """,
            [
                .text(did.string), .text(password.name), .blob(digest), .boolean(password.privilege == .privileged),
                .integer(password.createdAt.microseconds),
            ]) == 1
    }

    static func list(of did: DID, in scope: any ReadScope) throws(StorageError) -> [AppPassword] {
        var passwords: [AppPassword] = []
        let rows = try scope.query(
            "SELECT name, privileged, created_at FROM app_password WHERE did = $1 ORDER BY created_at, name",
            [.text(did.string)])
        for row in rows { passwords.append(try password(row)) }
        return passwords
    }

    /// The password with this digest, if the account has one.
    static func find(_ digest: [UInt8], of did: DID, in scope: any ReadScope) throws(StorageError) -> AppPassword? {
        guard
            let row = try scope.first(
                "SELECT name, privileged, created_at FROM app_password WHERE did = $1 AND digest = $2",
                [.text(did.string), .blob(digest)])
        else { return nil }
        return try password(row)
    }

    static func remove(_ name: String, of did: DID, in scope: any WriteScope) throws(StorageError) -> Bool {
        try scope.execute(
            "DELETE FROM app_password WHERE did = $1 AND name = $2", [.text(did.string), .text(name)]) == 1
    }

    static func removeAll(of did: DID, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM app_password WHERE did = $1", [.text(did.string)])
    }

    private static func password(_ row: Row) throws(StorageError) -> AppPassword {
        AppPassword(
            name: try row.text(0), privilege: try row.boolean(1) ? .privileged : .ordinary,
            createdAt: Timestamp(microseconds: try row.integer(2)))
    }
}
