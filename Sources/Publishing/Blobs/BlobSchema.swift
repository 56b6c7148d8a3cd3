package import Storage

/// The tables of the room. Frozen once shipped.
package enum BlobSchema {
    package static let migrations = [
        Migration(
            room: "blobs", number: 1,
            statements: [
                """
                CREATE TABLE blob (
                    repository BIGINT NOT NULL,
                    cid BYTEA NOT NULL,
                    mime_type TEXT NOT NULL,
                    size BIGINT NOT NULL,
                    location TEXT NOT NULL,
                    state TEXT NOT NULL,
                    created_at BIGINT NOT NULL,
                    since_rev TEXT,
                    PRIMARY KEY (repository, cid)
                ) CLUSTERED
                """,
                "CREATE INDEX blob_state ON blob (state, created_at)",
                """
                CREATE TABLE blob_reference (
                    tree BIGINT NOT NULL,
                    cid BYTEA NOT NULL,
                    path TEXT NOT NULL,
                    PRIMARY KEY (tree, cid, path)
                ) CLUSTERED
                """,
                "CREATE INDEX blob_reference_path ON blob_reference (tree, path)",
                """
                CREATE TABLE blob_usage (
                    repository BIGINT PRIMARY KEY NOT NULL,
                    blob_count BIGINT NOT NULL,
                    size_bytes BIGINT NOT NULL
                ) CLUSTERED
                """,
                """
                CREATE TABLE blob_disposal (
                    location TEXT PRIMARY KEY NOT NULL
                ) CLUSTERED
                """,
            ]),
        Migration(
            room: "blobs", number: 2,
            statements: [
                "ALTER TABLE blob_usage ADD COLUMN expected_count BIGINT NOT NULL DEFAULT 0",
                """
                INSERT INTO blob_usage (repository, blob_count, size_bytes, expected_count)
                    SELECT r.id, 0, 0, COUNT(DISTINCT f.cid) FROM repository r JOIN blob_reference f ON f.tree = r.tree
                    WHERE r.id > 0 GROUP BY r.id
                ON CONFLICT (repository) DO UPDATE SET expected_count = excluded.expected_count
                """,
            ]),
        // Bytes that lost their row stay while a backup copies them.
        Migration(
            room: "blobs", number: 3,
            statements: [
                """
                CREATE TABLE blob_hold (
                    name TEXT PRIMARY KEY NOT NULL,
                    expires_at BIGINT NOT NULL
                ) CLUSTERED
                """,
                "CREATE INDEX blob_hold_expiry ON blob_hold (expires_at)",
            ]),
    ]
}
