package import Storage

/// The tables of the room. Frozen once shipped: what comes later is appended as a new step.
///
/// A repository has a stable `id`; its records and nodes hang on `tree`, a storage generation, so that an import can
/// be laid beside the present tree and take its place in one small transaction. Nodes are not clustered: their CIDs are
/// random, and appending rows beside a small index of them writes a third less than moving them about in one tree.
package enum RepositorySchema {
    package static let migrations = [
        Migration(
            room: "repositories", number: 1,
            statements: [
                """
                CREATE TABLE repository (
                    id BIGINT PRIMARY KEY NOT NULL,
                    did TEXT NOT NULL UNIQUE,
                    tree BIGINT NOT NULL,
                    commit_cid BYTEA NOT NULL,
                    commit_bytes BYTEA NOT NULL,
                    rev TEXT NOT NULL,
                    data BYTEA NOT NULL,
                    record_count BIGINT NOT NULL,
                    node_count BIGINT NOT NULL,
                    created_at BIGINT NOT NULL
                )
                """,
                """
                CREATE TABLE record (
                    tree BIGINT NOT NULL,
                    path TEXT NOT NULL,
                    cid BYTEA NOT NULL,
                    rev TEXT NOT NULL,
                    value BYTEA NOT NULL,
                    PRIMARY KEY (tree, path)
                ) CLUSTERED
                """,
                "CREATE INDEX record_cid ON record (tree, cid)",
                """
                CREATE TABLE node (
                    tree BIGINT NOT NULL,
                    cid BYTEA NOT NULL,
                    rev TEXT NOT NULL,
                    bytes BYTEA NOT NULL,
                    PRIMARY KEY (tree, cid)
                )
                """,
                """
                CREATE TABLE repository_collection (
                    repository BIGINT NOT NULL,
                    collection TEXT NOT NULL,
                    PRIMARY KEY (repository, collection)
                ) CLUSTERED
                """,
                "CREATE INDEX repository_by_collection ON repository_collection (collection, repository)",
                """
                CREATE TABLE record_subject (
                    tree BIGINT NOT NULL,
                    collection TEXT NOT NULL,
                    subject TEXT NOT NULL,
                    path TEXT NOT NULL,
                    PRIMARY KEY (tree, collection, subject, path)
                ) CLUSTERED
                """,
                "CREATE INDEX record_subject_path ON record_subject (tree, path)",
                """
                CREATE TABLE tree_disposal (
                    tree BIGINT PRIMARY KEY NOT NULL,
                    is_retired BIGINT NOT NULL
                ) CLUSTERED
                """,
            ]),
        // Another process may be laying a tree down: its age tells whether it was left behind.
        Migration(
            room: "repositories", number: 2,
            statements: ["ALTER TABLE tree_disposal ADD COLUMN begun_at BIGINT NOT NULL DEFAULT 0"]),
    ]
}
