import Storage

/// The tables of the Directory room. Frozen once shipped: what comes later is a new step.
enum DirectorySchema {
    static let migrations = [
        Migration(
            room: "directory", number: 1,
            statements: [
                """
                CREATE TABLE directory_key (
                    owner TEXT NOT NULL,
                    purpose TEXT NOT NULL,
                    public_key TEXT NOT NULL,
                    sealed BYTEA NOT NULL,
                    made_at BIGINT NOT NULL,
                    PRIMARY KEY (owner, purpose)
                ) CLUSTERED
                """,
                """
                CREATE TABLE directory_reserved_key (
                    public_key TEXT PRIMARY KEY NOT NULL,
                    did TEXT UNIQUE,
                    sealed BYTEA NOT NULL,
                    expires_at BIGINT NOT NULL
                ) CLUSTERED
                """,
                "CREATE INDEX directory_reserved_key_expiry ON directory_reserved_key (expires_at)",
                """
                CREATE TABLE plc_operation (
                    did TEXT NOT NULL,
                    position BIGINT NOT NULL,
                    seq BIGINT NOT NULL UNIQUE,
                    received_at BIGINT NOT NULL UNIQUE,
                    nullified BIGINT NOT NULL,
                    operation BYTEA NOT NULL,
                    PRIMARY KEY (did, position)
                ) CLUSTERED
                """,
            ]),
        Migration(
            room: "directory", number: 2,
            statements: [
                """
                CREATE TABLE plc_waiting (
                    did TEXT PRIMARY KEY NOT NULL,
                    operation BYTEA NOT NULL
                ) CLUSTERED
                """
            ]),
    ]
}
