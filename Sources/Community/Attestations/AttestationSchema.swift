package import Storage

/// The tables of the room. Frozen once shipped: what comes later is appended as a new step.
///
/// `community_attestation` is derived from the records. `community_attestation_salt` holds, sealed by the vault, what opens
/// hidden claims; it is nowhere else, and goes with the record.
package enum AttestationSchema {
    package static let migrations = [
        Migration(
            room: "attestations", number: 1,
            statements: [
                """
                CREATE TABLE community_attestation (
                    community TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    subject TEXT NOT NULL,
                    type TEXT NOT NULL,
                    cid BYTEA NOT NULL,
                    record BYTEA NOT NULL,
                    PRIMARY KEY (community, rkey)
                )
                """,
                "CREATE INDEX community_attestation_subject ON community_attestation (community, subject, rkey)",
                "CREATE INDEX community_attestation_type ON community_attestation (community, type, rkey)",
                """
                CREATE TABLE community_attestation_salt (
                    community TEXT NOT NULL,
                    rkey TEXT NOT NULL,
                    sealed BYTEA NOT NULL,
                    PRIMARY KEY (community, rkey)
                )
                """,
            ])
    ]
}
