import Storage

/// The table of the ExternalKeys room: a projection of the records, which can be made again from the repositories. Frozen
/// once shipped: what comes later is a new step.
enum ExternalKeySchema {
    static let migrations = [
        Migration(
            room: "external_keys", number: 1,
            statements: [
                """
                CREATE TABLE external_key (
                    did TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    kind TEXT NOT NULL,
                    purpose TEXT NOT NULL,
                    public_key TEXT NOT NULL,
                    label TEXT,
                    proven BIGINT NOT NULL,
                    created_at TEXT NOT NULL,
                    PRIMARY KEY (did, rkey)
                ) CLUSTERED
                """,
                "CREATE INDEX external_key_public_key ON external_key (public_key, proven, created_at)",
            ])
    ]
}
