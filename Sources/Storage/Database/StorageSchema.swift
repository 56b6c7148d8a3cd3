/// The tables of Storage itself. Frozen once shipped: what comes later is appended as a new step.
package enum StorageSchema {
    package static let migrations = [
        Migration(
            room: "storage", number: 1,
            statements: [
                """
                CREATE TABLE storage_sequence (
                    name TEXT PRIMARY KEY NOT NULL,
                    value BIGINT NOT NULL
                ) CLUSTERED
                """,
                """
                CREATE TABLE storage_meta (
                    name TEXT PRIMARY KEY NOT NULL,
                    value TEXT NOT NULL
                ) CLUSTERED
                """,
                """
                CREATE TABLE log_event (
                    seq BIGINT PRIMARY KEY NOT NULL,
                    did TEXT NOT NULL,
                    kind TEXT NOT NULL,
                    time BIGINT NOT NULL,
                    log_offset BIGINT NOT NULL,
                    frame BYTEA NOT NULL
                )
                """,
                "CREATE INDEX log_event_did ON log_event (did, seq)",
                """
                CREATE TABLE log_follower (
                    name TEXT PRIMARY KEY NOT NULL,
                    seq BIGINT NOT NULL,
                    moved_at BIGINT NOT NULL
                ) CLUSTERED
                """,
                """
                CREATE TABLE log_removed (
                    id BIGINT PRIMARY KEY NOT NULL,
                    seq BIGINT NOT NULL
                )
                """,
                """
                CREATE TABLE job (
                    kind TEXT NOT NULL,
                    key TEXT NOT NULL,
                    payload BYTEA NOT NULL,
                    run_at BIGINT NOT NULL,
                    attempts BIGINT NOT NULL,
                    lease TEXT,
                    failed_at BIGINT,
                    last_error TEXT,
                    created_at BIGINT NOT NULL,
                    PRIMARY KEY (kind, key)
                ) CLUSTERED
                """,
                "CREATE INDEX job_due ON job (kind, run_at)",
            ]),
        // See `CopyMark`. Always there, so that whoever opens the database can look.
        Migration(
            room: "storage", number: 2,
            statements: [
                """
                CREATE TABLE storage_copy (
                    id BIGINT PRIMARY KEY NOT NULL,
                    phase TEXT NOT NULL,
                    token TEXT NOT NULL,
                    peer TEXT NOT NULL,
                    generation BIGINT NOT NULL,
                    until BIGINT NOT NULL
                )
                """
            ]),
    ]
}
