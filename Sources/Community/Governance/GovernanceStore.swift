package import ATProtocol
import Base
package import Storage

/// The SQL of proposals, votes and delegations.
package enum GovernanceStore {
    /// A proposal with the key and the address of its record.
    package struct ProposalRow: Sendable, Hashable {
        package var rkey: RecordKey
        package var cid: CID
        package var proposal: Proposal
    }

    /// Where a vote is kept.
    struct VotePlace: Sendable, Hashable {
        var proposal: RecordKey
        var round: Int
        var mark: String

        init(_ vote: VoteRecord) {
            proposal = vote.proposal
            round = vote.round
            mark = VoteRecord.mark(of: vote.voter)
        }

        /// Nil for a key that is not one of a vote.
        init?(_ key: RecordKey) {
            let parts = key.string.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3, let proposal = try? RecordKey(parsing: String(parts[0])), let round = Int(parts[1]),
                String(round) == parts[1]
            else { return nil }
            self.proposal = proposal
            self.round = round
            mark = String(parts[2])
        }

        fileprivate func parameters(_ community: DID) -> [SQLValue] {
            [.text(community.string), .text(proposal.string), .integer(round), .text(mark)]
        }
    }

    /// `at://<community>/net.openfederation.community.proposal/<rkey>`.
    package static func uri(of proposal: RecordKey, of community: DID) -> String {
        "at://\(community.string)/\(CommunityCollections.proposal.string)/\(proposal.string)"
    }

    // MARK: Proposals

    /// The proposal of that key, or nil.
    package static func proposal(
        _ rkey: RecordKey, of community: DID, in scope: any ReadScope
    ) throws -> ProposalRow? {
        try scope.first(
            "SELECT rkey, cid, record FROM community_proposal WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey.string)]
        ).flatMap(proposal)
    }

    /// A page of the proposals, the newest first: those before `cursor`, of one status if asked.
    static func proposals(
        of community: DID, status: Proposal.Status?, before cursor: RecordKey?, limit: Int, in scope: any ReadScope
    ) throws -> [ProposalRow] {
        var conditions = ["community = $1"]
        var parameters: [SQLValue] = [.text(community.string), .integer(limit)]
        for (condition, value) in [("status =", status?.rawValue), ("rkey <", cursor?.string)] {
            guard let value else { continue }
            parameters.append(.text(value))
            conditions.append("\(condition) $\(parameters.count)")
        }
        return try scope.query(
            """
            SELECT rkey, cid, record FROM community_proposal WHERE \(conditions.joined(separator: " AND "))
            ORDER BY rkey DESC LIMIT $2
            """, parameters
        ).compactMap(proposal)
    }

    static func openCount(of community: DID, in scope: any ReadScope) throws -> Int {
        Int(
            try scope.first(
                "SELECT count(*) FROM community_proposal WHERE community = $1 AND status = 'open'",
                [.text(community.string)])?.integer(0) ?? 0)
    }

    private static func proposal(_ row: Row) throws -> ProposalRow? {
        guard let proposal = Proposal(try DataValue(cbor: row.blob(2))) else { return nil }
        return ProposalRow(
            rkey: try RecordKey(parsing: row.text(0)), cid: try CID(bytes: row.blob(1)), proposal: proposal)
    }

    static func store(
        _ proposal: Proposal, cid: CID, record: DataValue, at rkey: RecordKey, of community: DID,
        in scope: any WriteScope
    ) throws {
        try scope.execute(
            """
            INSERT INTO community_proposal (community, rkey, cid, status, round, record) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (community, rkey) DO UPDATE
                SET cid = excluded.cid, status = excluded.status, round = excluded.round, record = excluded.record
            """,
            [
                .text(community.string), .text(rkey.string), .blob(cid.bytes), .text(proposal.status.rawValue),
                .integer(proposal.round), .blob(record.cbor()),
            ])
    }

    static func removeProposal(_ rkey: RecordKey, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "DELETE FROM community_proposal WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey.string)])
    }

    // MARK: Votes

    private static let voteColumns =
        "proposal, round, voter, vote, ranking, reason, commitment, salt, cast_at, revealed_at"

    static func vote(
        of voter: DID, on proposal: RecordKey, round: Int, of community: DID, in scope: any ReadScope
    ) throws -> VoteRecord? {
        try scope.first(
            """
            SELECT \(voteColumns) FROM community_vote
            WHERE community = $1 AND proposal = $2 AND round = $3 AND mark = $4
            """,
            [
                .text(community.string), .text(proposal.string), .integer(round),
                .text(VoteRecord.mark(of: voter)),
            ]
        ).map(vote)
    }

    /// All votes of a round, by voter.
    static func votes(
        on proposal: RecordKey, round: Int, of community: DID, in scope: any ReadScope
    ) throws -> [DID: VoteRecord] {
        var votes: [DID: VoteRecord] = [:]
        try scope.forEach(
            "SELECT \(voteColumns) FROM community_vote WHERE community = $1 AND proposal = $2 AND round = $3",
            [.text(community.string), .text(proposal.string), .integer(round)]
        ) { row in
            let vote = try vote(row)
            votes[vote.voter] = vote
            return true
        }
        return votes
    }

    private static func vote(_ row: Row) throws -> VoteRecord {
        let ranking = try row.optionalText(4)?.split(separator: ",").map { DataValue.string(String($0)) }
        let reason = try row.optionalText(5)
        return VoteRecord(
            proposal: try RecordKey(parsing: row.text(0)), voter: try DID(parsing: row.text(2)),
            round: Int(try row.integer(1)),
            vote: Vote(side: try row.optionalText(3), ranking: ranking, reason: reason), reason: reason,
            commitment: try row.optionalText(6), salt: try row.optionalText(7),
            castAt: Timestamp(microseconds: try row.integer(8)),
            revealedAt: try row.optionalInteger(9).map(Timestamp.init(microseconds:)))
    }

    /// Puts what is kept at `place` to `vote`, or away when that is nil, and keeps the sums.
    static func store(
        _ vote: VoteRecord?, at place: VotePlace, of community: DID, in scope: any WriteScope
    ) throws {
        let removed = try scope.query(
            """
            DELETE FROM community_vote WHERE community = $1 AND proposal = $2 AND round = $3 AND mark = $4
            RETURNING \(voteColumns)
            """, place.parameters(community))
        for row in removed { try add(try Self.vote(row), -1, at: place, of: community, in: scope) }
        guard let vote else { return }
        var (side, ranking): (String?, String?) = (nil, nil)
        if case .ranking = vote.vote { ranking = vote.vote?.text } else { side = vote.vote?.text }
        try scope.execute(
            """
            INSERT INTO community_vote (community, proposal, round, mark, voter, vote, ranking, reason, commitment, salt,
                cast_at, revealed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """,
            place.parameters(community) + [
                .text(vote.voter.string), .text(optional: side), .text(optional: ranking),
                .text(optional: vote.reason), .text(optional: vote.commitment), .text(optional: vote.salt),
                .integer(vote.castAt.microseconds), .integer(optional: vote.revealedAt?.microseconds),
            ])
        try add(vote, 1, at: place, of: community, in: scope)
    }

    private static func add(
        _ vote: VoteRecord, _ change: Int, at place: VotePlace, of community: DID, in scope: any WriteScope
    ) throws {
        let column =
            switch vote.vote {
            case .inFavour: "in_favour"
            case .against: "against"
            case .objection: "objections"
            case .ranking: "rankings"
            case nil: "sealed"
            }
        let columns = ["in_favour", "against", "objections", "rankings", "sealed"]
        try scope.execute(
            """
            INSERT INTO community_vote_sum (community, proposal, round, \(columns.joined(separator: ", ")))
            VALUES ($1, $2, $3, \(columns.map { $0 == column ? "$4" : "0" }.joined(separator: ", ")))
            ON CONFLICT (community, proposal, round) DO UPDATE
                SET \(column) = community_vote_sum.\(column) + excluded.\(column)
            """,
            [.text(community.string), .text(place.proposal.string), .integer(place.round), .integer(change)])
    }

    /// The votes of one's own, added up, and how many of them are rankings.
    static func sums(
        on proposal: RecordKey, round: Int, of community: DID, in scope: any ReadScope
    ) throws -> (count: VoteCount, rankingCount: Int) {
        let row = try scope.first(
            """
            SELECT in_favour, against, objections, rankings, sealed FROM community_vote_sum
            WHERE community = $1 AND proposal = $2 AND round = $3
            """, [.text(community.string), .text(proposal.string), .integer(round)])
        var count = VoteCount()
        guard let row else { return (count, 0) }
        count.inFavour.own = Int(try row.integer(0))
        count.against.own = Int(try row.integer(1))
        count.objections.own = Int(try row.integer(2))
        count.sealed = Int(try row.integer(4))
        return (count, Int(try row.integer(3)))
    }
}
