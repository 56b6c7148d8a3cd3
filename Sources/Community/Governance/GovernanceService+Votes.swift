package import ATProtocol
import Base
package import Contracts
import Storage

/// Votes: cast and opened.
extension GovernanceService {
    /// What somebody casts.
    package enum Cast: Sendable, Hashable {
        /// With what they want to say about it.
        case open(Vote, reason: String?)
        /// The commitment to a vote of a secret ballot.
        case sealed(commitment: String)
    }

    /// What came of a vote.
    package struct Voted: Sendable, Hashable {
        /// Where the proposal stands after it.
        package var status: Proposal.Status
        /// Whether it was carried out with this vote.
        package var isApplied: Bool { status == .approved }
    }

    /// Casts a vote: by members who could vote when the proposal opened and still can, once each round.
    ///
    /// - Throws: `CommunityError`; `GovernanceError.alreadyVoted`, `.notEligible`, `.invalidBallot`, `.proposalClosed`, also
    ///   when the proposal is found to be over, and closed, by this call.
    package func vote(
        _ cast: Cast, on rkey: RecordKey, in community: DID, by caller: Caller
    ) async throws -> Voted {
        let voted = try await assemble(community, for: caller) { assembly -> Voted? in
            let member = try assembly.member(caller)
            let row = try assembly.proposal(rkey)
            guard assembly.isVotedOn(row.proposal) else {
                _ = try assembly.settle(row)
                return nil
            }
            guard
                try GovernanceStore.vote(
                    of: member, on: rkey, round: row.proposal.round, of: community, in: assembly.scope) == nil
            else { throw GovernanceError.alreadyVoted }
            guard
                try GovernanceStore.isInElectorate(member, proposal: rkey, of: community, in: assembly.scope),
                try GovernanceCounting.holds(row.proposal.electorate.voterRole, member, in: community, assembly.scope)
            else { throw GovernanceError.notEligible }
            let vote = try Self.record(cast, of: member, on: row, now: assembly.now)
            try assembly.apply([try Self.write(vote)], by: .participation(member))
            try assembly.note("proposal.vote", ["proposal": .string(rkey.string)])
            try Self.reach(of: member, on: row.proposal, at: rkey, in: assembly)
            return Voted(status: try assembly.settle(row).status)
        }
        guard let voted else { throw GovernanceError.proposalClosed }
        return voted
    }

    private static func record(
        _ cast: Cast, of voter: DID, on row: GovernanceStore.ProposalRow, now: Timestamp
    ) throws -> VoteRecord {
        var record = VoteRecord(
            proposal: row.rkey, voter: voter, round: row.proposal.round, vote: nil, castAt: now)
        switch (cast, row.proposal.ballot) {
        case (.open(let vote, let reason), .open):
            do throws(BallotFault) {
                try row.proposal.model.model?.check(vote, in: row.proposal.poll)
            } catch {
                throw GovernanceError.invalidBallot(error.message)
            }
            record.vote = vote
            record.reason = reason
        case (.sealed(let commitment), .secret):
            guard commitment.utf8.count == 64, Hex.decode(commitment) != nil, commitment == commitment.lowercased()
            else { throw GovernanceError.invalidBallot("commitment: 64 lower-case hexadecimal digits") }
            record.commitment = commitment
        case (.sealed, .open): throw GovernanceError.invalidBallot("the ballot is open: say what you vote")
        case (.open, .secret):
            throw GovernanceError.invalidBallot("the ballot is secret: send the commitment to your vote alone")
        }
        return record
    }

    /// Writes down how many more may count with the vote of `voter`, as far as it matters before the end.
    static func reach(
        of voter: DID, on proposal: Proposal, at rkey: RecordKey, in assembly: Assembly
    ) throws {
        guard proposal.ballot == .open, proposal.model.model?.endsByQuorum(proposal.poll) == true else { return }
        var poll = try assembly.storedPoll(rkey)
        let carried = try GovernanceStore.carriedMax(
            by: voter, enough: proposal.quorum.needed, of: assembly.did, in: assembly.scope)
        guard carried > 0 else { return }
        poll.carriedMax += carried
        try GovernanceStore.store(poll, proposal: rkey, of: assembly.did, in: assembly.scope)
    }

    // MARK: Opening sealed votes

    /// Opens a sealed vote, between the end of the voting and the end of the count.
    ///
    /// - Throws: `CommunityError`; `GovernanceError.notRevealing`, `.voteNotFound`, `.alreadyRevealed`,
    ///   `.commitmentMismatch`, `.invalidBallot`, `.proposalClosed`.
    package func reveal(
        _ vote: Vote, reason: String?, salt: String, on rkey: RecordKey, in community: DID, by caller: Caller
    ) async throws -> Voted {
        let voted = try await assemble(community, for: caller) { assembly -> Voted? in
            let member = try assembly.member(caller)
            let row = try assembly.proposal(rkey)
            let proposal = row.proposal
            guard proposal.status == .open, assembly.now < proposal.endsAt else {
                _ = try assembly.settle(row)
                return nil
            }
            guard proposal.ballot == .secret, assembly.now >= proposal.expiresAt else {
                throw GovernanceError.notRevealing
            }
            guard
                var record = try GovernanceStore.vote(
                    of: member, on: rkey, round: proposal.round, of: community, in: assembly.scope)
            else { throw GovernanceError.voteNotFound }
            guard record.vote == nil else { throw GovernanceError.alreadyRevealed }
            let uri = GovernanceStore.uri(of: rkey, of: community)
            guard
                VoteSeal.commitment(proposal: uri, voter: member, vote: vote, salt: salt) == record.commitment
            else { throw GovernanceError.commitmentMismatch }
            do throws(BallotFault) {
                try proposal.model.model?.check(vote, in: proposal.poll)
            } catch {
                throw GovernanceError.invalidBallot(error.message)
            }
            record.vote = vote
            record.reason = reason
            record.salt = salt
            record.revealedAt = assembly.now
            try assembly.apply(
                [
                    RecordWrite(
                        collection: CommunityCollections.vote,
                        action: .update(
                            key: try VoteRecord.key(rkey, round: proposal.round, voter: member),
                            record: record.record))
                ], by: .participation(member))
            return Voted(status: try assembly.settle(row).status)
        }
        guard let voted else { throw GovernanceError.proposalClosed }
        return voted
    }
}
