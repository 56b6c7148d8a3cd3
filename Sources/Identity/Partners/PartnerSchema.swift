import Storage

/// The tables of the Partners room. Frozen once shipped: what comes later is a new step.
enum PartnerSchema {
    static let migrations = [
        Migration(
            room: "partners", number: 1,
            statements: [
                """
                CREATE TABLE partner_key (
                    id TEXT PRIMARY KEY NOT NULL,
                    prefix TEXT NOT NULL,
                    digest BYTEA NOT NULL UNIQUE,
                    name TEXT NOT NULL,
                    partner_name TEXT NOT NULL,
                    origins TEXT NOT NULL,
                    hourly_max BIGINT NOT NULL,
                    created_at BIGINT NOT NULL,
                    created_by TEXT,
                    revoked_at BIGINT,
                    last_used_at BIGINT,
                    registrations BIGINT NOT NULL,
                    proof_digest BYTEA NOT NULL,
                    verified_at BIGINT
                ) CLUSTERED
                """,
                "CREATE INDEX partner_key_prefix ON partner_key (prefix)",
                "CREATE INDEX partner_key_created ON partner_key (created_at, id)",
                """
                CREATE TABLE partner_registration (
                    key_id TEXT NOT NULL,
                    did TEXT NOT NULL,
                    time BIGINT NOT NULL,
                    PRIMARY KEY (key_id, did)
                ) CLUSTERED
                """,
                "CREATE INDEX partner_registration_time ON partner_registration (key_id, time)",
            ])
    ]
}
