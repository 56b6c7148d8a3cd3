import Storage

/// The tables of the Accounts room. Frozen once shipped: what comes later is a new step.
enum AccountSchema {
    static let migrations = [
        Migration(
            room: "accounts", number: 1,
            statements: [
                """
                CREATE TABLE account (
                    did TEXT PRIMARY KEY NOT NULL,
                    handle TEXT NOT NULL UNIQUE,
                    email TEXT UNIQUE,
                    email_confirmed_at BIGINT,
                    password TEXT,
                    status TEXT NOT NULL,
                    status_at BIGINT NOT NULL,
                    roles TEXT NOT NULL,
                    announced BIGINT NOT NULL,
                    created_at BIGINT NOT NULL,
                    approved_at BIGINT,
                    delete_after BIGINT,
                    invite TEXT
                ) CLUSTERED
                """,
                "CREATE INDEX account_created ON account (created_at, did)",
                "CREATE INDEX account_status ON account (status, created_at)",
                "CREATE INDEX account_delete_after ON account (delete_after)",
                """
                CREATE TABLE invite (
                    code TEXT PRIMARY KEY NOT NULL,
                    uses_max BIGINT NOT NULL,
                    uses BIGINT NOT NULL,
                    created_at BIGINT NOT NULL,
                    created_by TEXT,
                    expires_at BIGINT,
                    bound_to TEXT,
                    note TEXT,
                    disabled_at BIGINT
                ) CLUSTERED
                """,
                "CREATE INDEX invite_created ON invite (created_at, code)",
                """
                CREATE TABLE invite_use (
                    code TEXT NOT NULL,
                    did TEXT NOT NULL,
                    used_at BIGINT NOT NULL,
                    PRIMARY KEY (code, did)
                ) CLUSTERED
                """,
                """
                CREATE TABLE account_setup (
                    id BIGINT PRIMARY KEY NOT NULL,
                    token BYTEA NOT NULL,
                    made_at BIGINT NOT NULL
                )
                """,
                """
                CREATE TABLE account_intent (
                    did TEXT PRIMARY KEY NOT NULL,
                    handle TEXT NOT NULL UNIQUE,
                    email TEXT UNIQUE,
                    payload BYTEA NOT NULL,
                    made_at BIGINT NOT NULL
                ) CLUSTERED
                """,
            ]),
        // All that holds of an account at once; `status` stays the word that counts most, to find accounts by.
        Migration(
            room: "accounts", number: 2,
            statements: [
                "ALTER TABLE account ADD COLUMN state TEXT NOT NULL DEFAULT ''",
                "UPDATE account SET state = status WHERE status <> 'approved'",
            ]),
        // Communities are accounts that nobody signs in to.
        Migration(
            room: "accounts", number: 3,
            statements: [
                "ALTER TABLE account ADD COLUMN kind TEXT NOT NULL DEFAULT 'person'",
                "CREATE INDEX account_kind ON account (kind, created_at, did)",
            ]),
        // How many accounts there are of each kind and status, kept with them; why the staff act; links that set a new password.
        Migration(
            room: "accounts", number: 4,
            statements: [
                """
                CREATE TABLE account_count (
                    kind TEXT NOT NULL,
                    status TEXT NOT NULL,
                    amount BIGINT NOT NULL,
                    PRIMARY KEY (kind, status)
                )
                """,
                """
                INSERT INTO account_count (kind, status, amount)
                SELECT kind, status, COUNT(*) FROM account GROUP BY kind, status
                """,
                """
                CREATE TABLE account_reason (
                    did TEXT NOT NULL,
                    measure TEXT NOT NULL,
                    reason TEXT NOT NULL,
                    PRIMARY KEY (did, measure)
                ) CLUSTERED
                """,
                """
                CREATE TABLE password_reset (
                    did TEXT PRIMARY KEY NOT NULL,
                    digest BYTEA NOT NULL UNIQUE,
                    made_at BIGINT NOT NULL,
                    expires_at BIGINT NOT NULL
                ) CLUSTERED
                """,
                "CREATE INDEX password_reset_expires ON password_reset (expires_at)",
            ]),
    ]
}
