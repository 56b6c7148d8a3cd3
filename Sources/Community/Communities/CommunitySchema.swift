package import Storage

/// The tables of the Communities room. Frozen once shipped: what comes later is appended as a new step.
///
/// `community` and `community_join_request` are the server's own; all others are derived from records (`CommunityRecords`).
package enum CommunitySchema {
    package static let migrations = [
        Migration(
            room: "communities", number: 1,
            statements: [
                """
                CREATE TABLE community (
                    did TEXT PRIMARY KEY NOT NULL,
                    method TEXT NOT NULL,
                    created_by TEXT NOT NULL,
                    created_at BIGINT NOT NULL,
                    status_reason TEXT,
                    exported_at BIGINT,
                    sealed_export BYTEA
                ) CLUSTERED
                """,
                "CREATE INDEX community_created ON community (created_at, did)",
                """
                CREATE TABLE community_profile (
                    community TEXT PRIMARY KEY NOT NULL,
                    visibility TEXT NOT NULL,
                    join_policy TEXT NOT NULL,
                    model TEXT NOT NULL,
                    config BYTEA NOT NULL,
                    display_name TEXT,
                    description TEXT,
                    member_count BIGINT NOT NULL
                ) CLUSTERED
                """,
                """
                CREATE TABLE community_role (
                    community TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    name TEXT NOT NULL,
                    description TEXT,
                    permissions BIGINT NOT NULL,
                    PRIMARY KEY (community, rkey)
                ) CLUSTERED
                """,
                """
                CREATE TABLE community_member (
                    community TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    did TEXT NOT NULL,
                    role TEXT NOT NULL,
                    handle TEXT,
                    joined_at BIGINT NOT NULL,
                    kind TEXT,
                    tags BYTEA,
                    attributes BYTEA,
                    PRIMARY KEY (community, rkey)
                ) CLUSTERED
                """,
                "CREATE UNIQUE INDEX community_member_did ON community_member (community, did)",
                "CREATE INDEX community_member_of ON community_member (did, community)",
                "CREATE INDEX community_member_joined ON community_member (community, joined_at, did)",
                "CREATE INDEX community_member_role ON community_member (community, role, joined_at, did)",
                """
                CREATE TABLE community_join_request (
                    community TEXT NOT NULL,
                    id TEXT NOT NULL,
                    did TEXT NOT NULL,
                    status TEXT NOT NULL,
                    created_at BIGINT NOT NULL,
                    resolved_at BIGINT,
                    resolved_by TEXT,
                    kind TEXT,
                    tags BYTEA,
                    attributes BYTEA,
                    PRIMARY KEY (community, id)
                ) CLUSTERED
                """,
                "CREATE INDEX community_join_request_did ON community_join_request (did, community)",
                "CREATE INDEX community_join_request_status ON community_join_request (community, status, id)",
                "CREATE UNIQUE INDEX community_join_request_id ON community_join_request (id)",
            ]),
        Migration(
            room: "communities", number: 2,
            statements: [
                "ALTER TABLE community ADD COLUMN listed BIGINT NOT NULL DEFAULT 0",
                "CREATE INDEX community_listed ON community (listed, created_at, did)",
                """
                CREATE TABLE community_count (
                    listed BIGINT PRIMARY KEY NOT NULL,
                    amount BIGINT NOT NULL
                ) CLUSTERED
                """,
            ]),
    ]
}
