package import ATProtocol
import Base
package import Contracts
import Storage

/// Proposals: made, amended, withdrawn.
extension GovernanceService {
    /// What somebody proposes.
    package struct Draft: Sendable {
        package var target: RepositoryPath
        package var action: Proposal.Action
        package var proposedRecord: DataValue?
        package var options: [Proposal.Option]
        package var reason: String?
        /// Nil for what the settings say.
        package var ballot: Proposal.Ballot?

        package init(
            target: RepositoryPath, action: Proposal.Action, proposedRecord: DataValue? = nil,
            options: [Proposal.Option] = [], reason: String? = nil, ballot: Proposal.Ballot? = nil
        ) {
            self.target = target
            self.action = action
            self.proposedRecord = proposedRecord
            self.options = options
            self.reason = reason
            self.ballot = ballot
        }
    }

    /// A proposal as it was written down.
    package struct Written: Sendable, Hashable {
        package var rkey: RecordKey
        package var cid: CID
        package var proposal: Proposal
    }

    /// Opens a proposal, with the vote of who proposes it in favour where such a vote is possible, and closes it at once if
    /// that decides it.
    ///
    /// What is proposed is tried first, and undone: what could not be carried out is not voted on.
    /// - Throws: `CommunityError`, `GovernanceError`.
    package func propose(_ draft: Draft, in community: DID, by caller: Caller) async throws -> Written {
        try await rehearse(in: community, by: caller) { try self.open(draft, in: $0, by: caller).proposal }
        return try await assemble(community, for: caller) { assembly in
            var (proposal, author, voters) = try self.open(draft, in: assembly, by: caller)
            let rkey = assembly.transaction.newKey()
            try GovernanceStore.storeElectorate(voters, proposal: rkey, of: community, in: assembly.scope)
            try GovernanceStore.store(
                GovernanceStore.Poll(carriedMax: 0, isStale: false), proposal: rkey, of: community,
                in: assembly.scope)
            var writes = [assembly.put(proposal, at: rkey)]
            let mayVote = voters.contains(author.string) && proposal.ballot == .open && proposal.options.isEmpty
            if mayVote {
                writes.append(
                    try Self.write(
                        VoteRecord(
                            proposal: rkey, voter: author, round: 0, vote: .inFavour, castAt: assembly.now)))
            }
            let outcome = try assembly.apply(writes, by: .participation(author))
            try self.schedule(proposal, at: rkey, in: assembly)
            try assembly.note("proposal.create", ["proposal": .string(rkey.string)])
            if mayVote { try Self.reach(of: author, on: proposal, at: rkey, in: assembly) }
            guard let cid = outcome.results.first?.cid else { throw GovernanceError.proposalNotFound }
            proposal = try assembly.settle(GovernanceStore.ProposalRow(rkey: rkey, cid: cid, proposal: proposal))
            return try Self.written(rkey, in: assembly)
        }
    }

    /// The proposal that a draft makes, who makes it, and who may vote on it.
    private func open(
        _ draft: Draft, in assembly: Assembly, by caller: Caller
    ) throws -> (proposal: Proposal, author: DID, voters: [String]) {
        let author = try assembly.holder(caller, of: .governanceWrite)
        let (model, config) = try Self.rules(of: assembly)
        guard
            try GovernanceStore.openCount(of: assembly.did, in: assembly.scope)
                < GovernanceLimits.openProposalCountMax
        else { throw GovernanceError.tooManyProposals }
        let voters = try CommunityStore.members(
            withRoleNamed: config.voterRole == GovernanceConfig.everyMember ? nil : config.voterRole,
            of: assembly.did, in: assembly.scope)
        guard !voters.isEmpty else {
            throw GovernanceError.invalid("nobody holds the role \(config.voterRole), whose holders vote")
        }
        var digest = ElectorateDigest()
        for voter in voters { digest.add(voter) }
        let ballot = draft.ballot ?? config.ballot
        let expiresAt = assembly.now.advanced(by: config.votingTime)
        let proposal = Proposal(
            target: draft.target, action: draft.action, proposedRecord: draft.proposedRecord, options: draft.options,
            reason: draft.reason, proposedBy: author, status: .open, model: model,
            quorum: config.quorum(of: voters.count),
            electorate: Proposal.Electorate(
                count: voters.count, takenAt: assembly.now, voterRole: config.voterRole, digest: digest.text),
            ballot: ballot, createdAt: assembly.now, expiresAt: expiresAt,
            revealUntil: ballot == .secret ? expiresAt.advanced(by: config.revealTime) : nil, resolvedAt: nil,
            outcome: nil, amendments: [])
        try ProposedWrite.check(proposal, catalog: catalog)
        try ProposedWrite.check(proposal, in: assembly)
        return (proposal, author, voters)
    }

    /// Tries what the proposal that `make` makes would do, and undoes it.
    private func rehearse(
        in community: DID, by caller: Caller, _ make: @escaping @Sendable (Assembly) throws -> Proposal
    ) async throws {
        do {
            try await assemble(community, for: caller) { assembly in
                try assembly.rehearse(try make(assembly), at: assembly.transaction.newKey())
            }
        } catch Assembly.Setback.rehearsed {}
    }

    /// By which rules the community votes now.
    static func rules(of assembly: Assembly) throws -> (GovernanceModelName, GovernanceConfig) {
        guard let model = GovernanceModelName(rawValue: assembly.community.model), model.model != nil else {
            throw GovernanceError.notActive
        }
        return (model, try GovernanceConfig(assembly.community.config, model: model))
    }

    static func write(_ vote: VoteRecord) throws -> RecordWrite {
        RecordWrite(
            collection: CommunityCollections.vote,
            action: .create(
                key: try VoteRecord.key(vote.proposal, round: vote.round, voter: vote.voter), record: vote.record))
    }

    private static func written(_ rkey: RecordKey, in assembly: Assembly) throws -> Written {
        let row = try assembly.proposal(rkey)
        return Written(rkey: rkey, cid: row.cid, proposal: row.proposal)
    }

    // MARK: Amending

    /// Changes what is proposed: by its author or an owner. All votes fall, the time starts anew, and the former text is
    /// kept. Who may vote stays.
    ///
    /// - Throws: `CommunityError`, `GovernanceError`.
    package func amend(
        _ rkey: RecordKey, record: DataValue?, options: [Proposal.Option], reason: String?, in community: DID,
        by caller: Caller
    ) async throws -> Written {
        let amended: @Sendable (Assembly) throws -> (Proposal, DID) = { assembly in
            let row = try assembly.proposal(rkey)
            let member = try Self.admit(caller, toChange: row.proposal, in: assembly)
            let proposal = try self.amended(
                row.proposal, record: record, options: options, reason: reason, by: member, in: assembly)
            return (proposal, member)
        }
        try await rehearse(in: community, by: caller) { try amended($0).0 }
        return try await assemble(community, for: caller) { assembly in
            let (proposal, member) = try amended(assembly)
            try assembly.apply([assembly.put(proposal, at: rkey)], by: .participation(member))
            try GovernanceStore.store(
                GovernanceStore.Poll(carriedMax: 0, isStale: false), proposal: rkey, of: community,
                in: assembly.scope)
            try self.schedule(proposal, at: rkey, in: assembly)
            try assembly.note("proposal.amend", ["proposal": .string(rkey.string)])
            return try Self.written(rkey, in: assembly)
        }
    }

    private func amended(
        _ former: Proposal, record: DataValue?, options: [Proposal.Option], reason: String?, by member: DID,
        in assembly: Assembly
    ) throws -> Proposal {
        guard former.amendments.count < GovernanceLimits.amendmentCountMax else {
            throw GovernanceError.tooManyAmendments
        }
        guard former.action == .write else { throw GovernanceError.invalid("a deletion has nothing to amend") }
        var proposal = former
        proposal.proposedRecord = record
        proposal.options = options
        var entry: DataMap = [
            "amendedBy": .string(member.string), "amendedAt": .string(Datetime(assembly.now).string),
        ]
        entry["previousRecord"] = former.proposedRecord
        if !former.options.isEmpty { entry["previousOptions"] = .array(former.options.map(\.value)) }
        entry["reason"] = reason.map(DataValue.string)
        proposal.amendments.append(.map(entry))
        proposal.outcome = nil
        let config = try Self.rules(of: assembly).1
        proposal.expiresAt = assembly.now.advanced(by: config.votingTime)
        if proposal.ballot == .secret { proposal.revealUntil = proposal.expiresAt.advanced(by: config.revealTime) }
        try ProposedWrite.check(proposal, catalog: catalog)
        try ProposedWrite.check(proposal, in: assembly)
        return proposal
    }

    /// The author, as long as they are a member, and owners; while it is voted on.
    private static func admit(_ caller: Caller, toChange proposal: Proposal, in assembly: Assembly) throws -> DID {
        let member = try assembly.member(caller)
        guard try member == proposal.proposedBy || assembly.isOwner(member) else { throw CommunityError.forbidden }
        guard assembly.isVotedOn(proposal) else { throw GovernanceError.proposalClosed }
        return member
    }

    /// Takes a proposal back: its author or an owner, while it is voted on.
    ///
    /// - Throws: `CommunityError`, `GovernanceError`.
    package func withdraw(_ rkey: RecordKey, reason: String?, in community: DID, by caller: Caller) async throws {
        try await assemble(community, for: caller) { assembly in
            let row = try assembly.proposal(rkey)
            let member = try Self.admit(caller, toChange: row.proposal, in: assembly)
            var (proposal, poll) = (row.proposal, try assembly.storedPoll(rkey))
            poll.countedOn = try GovernanceCounting.reckoning(row, of: community, basis: nil, in: assembly.scope).basis
            proposal.status = .withdrawn
            proposal.resolvedAt = assembly.now
            proposal.outcome = "Withdrawn by \(member.string)" + (reason.map { ": \($0)" } ?? ".")
            try assembly.apply([assembly.put(proposal, at: rkey)], by: .participation(member))
            try GovernanceStore.store(poll, proposal: rkey, of: community, in: assembly.scope)
            try assembly.note("proposal.withdraw", ["proposal": .string(rkey.string)])
        }
    }
}
