import Storage

/// The tables of the Sessions room. Frozen once shipped: what comes later is a new step.
enum SessionSchema {
    static let migrations = [
        Migration(
            room: "sessions", number: 1,
            statements: [
                """
                CREATE TABLE session (
                    did TEXT NOT NULL,
                    id BYTEA NOT NULL,
                    scope TEXT NOT NULL,
                    app_password TEXT,
                    generation BIGINT NOT NULL,
                    rotated_at BIGINT NOT NULL,
                    created_at BIGINT NOT NULL,
                    expires_at BIGINT NOT NULL,
                    PRIMARY KEY (did, id)
                ) CLUSTERED
                """,
                "CREATE INDEX session_expires ON session (expires_at)",
                """
                CREATE TABLE app_password (
                    did TEXT NOT NULL,
                    name TEXT NOT NULL,
                    digest BYTEA NOT NULL,
                    privileged BIGINT NOT NULL,
                    created_at BIGINT NOT NULL,
                    PRIMARY KEY (did, name)
                ) CLUSTERED
                """,
                "CREATE UNIQUE INDEX app_password_digest ON app_password (did, digest)",
                """
                CREATE TABLE session_secret (
                    id BIGINT PRIMARY KEY NOT NULL,
                    sealed BYTEA NOT NULL,
                    made_at BIGINT NOT NULL
                )
                """,
            ]),
        // From where a session was used last, for its owner to recognise it.
        Migration(
            room: "sessions", number: 2,
            statements: [
                "ALTER TABLE session ADD COLUMN address TEXT", "ALTER TABLE session ADD COLUMN agent TEXT",
            ]),
    ]
}
