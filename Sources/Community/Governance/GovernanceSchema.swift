package import Storage

/// The tables of proposals, votes and delegations.
///
/// `community_proposal`, `community_vote`, `community_vote_sum` and `community_delegation` are derived from records.
/// `community_poll` and `community_electorate` are not: who could vote when a proposal opened, and on what its count was made.
package enum GovernanceSchema {
    package static let migrations = [
        Migration(
            room: "governance", number: 1,
            statements: [
                """
                CREATE TABLE community_proposal (
                    community TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    cid BYTEA NOT NULL,
                    status TEXT NOT NULL,
                    round BIGINT NOT NULL,
                    record BYTEA NOT NULL,
                    PRIMARY KEY (community, rkey)
                ) CLUSTERED
                """,
                "CREATE INDEX community_proposal_status ON community_proposal (community, status, rkey)",
                """
                CREATE TABLE community_vote (
                    community TEXT NOT NULL,
                    proposal TEXT NOT NULL,
                    round BIGINT NOT NULL,
                    mark TEXT NOT NULL,
                    voter TEXT NOT NULL,
                    vote TEXT,
                    ranking TEXT,
                    reason TEXT,
                    commitment TEXT,
                    salt TEXT,
                    cast_at BIGINT NOT NULL,
                    revealed_at BIGINT,
                    PRIMARY KEY (community, proposal, round, mark)
                ) CLUSTERED
                """,
                """
                CREATE TABLE community_vote_sum (
                    community TEXT NOT NULL,
                    proposal TEXT NOT NULL,
                    round BIGINT NOT NULL,
                    in_favour BIGINT NOT NULL,
                    against BIGINT NOT NULL,
                    objections BIGINT NOT NULL,
                    rankings BIGINT NOT NULL,
                    sealed BIGINT NOT NULL,
                    PRIMARY KEY (community, proposal, round)
                ) CLUSTERED
                """,
                """
                CREATE TABLE community_delegation (
                    community TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    delegator TEXT NOT NULL,
                    delegate TEXT NOT NULL,
                    created_at BIGINT NOT NULL,
                    PRIMARY KEY (community, rkey)
                ) CLUSTERED
                """,
                "CREATE INDEX community_delegation_from ON community_delegation (community, delegator, rkey)",
                "CREATE INDEX community_delegation_to ON community_delegation (community, delegate, delegator)",
                """
                CREATE TABLE community_poll (
                    community TEXT NOT NULL,
                    proposal TEXT NOT NULL,
                    carried_max BIGINT NOT NULL,
                    is_stale BIGINT NOT NULL,
                    counted_on BYTEA,
                    applied_cid BYTEA,
                    applied_rev TEXT,
                    PRIMARY KEY (community, proposal)
                ) CLUSTERED
                """,
                """
                CREATE TABLE community_electorate (
                    community TEXT NOT NULL,
                    proposal TEXT NOT NULL,
                    did TEXT NOT NULL,
                    PRIMARY KEY (community, proposal, did)
                ) CLUSTERED
                """,
            ])
    ]
}
