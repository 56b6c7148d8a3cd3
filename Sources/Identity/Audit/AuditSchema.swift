import Storage

/// The table of the Audit room. Frozen once shipped: what comes later is a new step.
enum AuditSchema {
    static let migrations = [
        Migration(
            room: "audit", number: 1,
            statements: [
                """
                CREATE TABLE audit_entry (
                    id BIGINT PRIMARY KEY NOT NULL,
                    time BIGINT NOT NULL,
                    action TEXT NOT NULL,
                    actor TEXT,
                    target TEXT,
                    meta BYTEA NOT NULL
                )
                """,
                "CREATE INDEX audit_entry_action ON audit_entry (action, id)",
                "CREATE INDEX audit_entry_target ON audit_entry (target, id)",
            ]),
        Migration(
            room: "audit", number: 2,
            statements: [
                "CREATE INDEX audit_entry_actor ON audit_entry (actor, id)",
                "CREATE INDEX audit_entry_time ON audit_entry (time)",
            ]),
    ]
}
