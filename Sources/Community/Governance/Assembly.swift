import ATProtocol
import Base
import Contracts
import Storage

/// A community in one transaction, as proposals and votes see it.
struct Assembly {
    /// How a decision is carried out in this attempt at the transaction.
    enum Execution: Sendable {
        /// With it; `isOpeningPrepared` when the directory knows of a private community that is about to be opened.
        case carriedOut(isOpeningPrepared: Bool)
        /// Not, as it failed for this reason: the proposal stays open.
        case heldBack(String)
    }

    /// Why a transaction is to be made anew.
    enum Setback: Error {
        case failed(String)
        case needsOpening
        /// Nothing stood in the way of what is proposed.
        case rehearsed
    }

    let transaction: any RepositoryTransaction
    let did: DID
    let community: CommunityRow
    let communities: any CommunityAccounts
    private let audit: any AuditTrail
    private let caller: Caller?
    let execution: Execution
    /// Whether its repository can be written to now.
    let isActive: Bool

    var scope: any WriteScope { transaction.scope }
    var now: Timestamp { transaction.now }

    /// - Throws: `CommunityError.notFound`, also to those to whom it isn't there; `.suspended`, `.takenDown`.
    init(
        _ transaction: any RepositoryTransaction, _ did: DID, for caller: Caller?, service: GovernanceService,
        execution: Execution
    ) throws {
        self.transaction = transaction
        self.did = did
        self.execution = execution
        communities = service.communities
        audit = service.audit
        self.caller = caller
        let scope = transaction.scope
        guard let standing = try service.accounts.standing(of: did, in: scope), standing.kind == .community,
            let community = try CommunityStore.community(did, in: scope)
        else { throw CommunityError.notFound }
        self.community = community
        isActive = standing.status == .approved || standing.status == .confined
        guard let caller else { return }
        if community.visibility == .private || standing.isConfined, !caller.isAdministrator {
            guard let did = caller.did, try CommunityStore.member(did, of: community.did, in: scope) != nil else {
                throw CommunityError.notFound
            }
        }
        switch standing.status {
        case .approved, .confined: return
        case .suspended: throw CommunityError.suspended
        case .takendown: throw CommunityError.takenDown
        case .pending, .rejected, .disabled, .deactivated: throw CommunityError.notFound
        }
    }

    // MARK: Who

    /// The caller's DID, if they are a member.
    func member(_ caller: Caller) throws -> DID {
        guard let member = caller.did, try CommunityStore.member(member, of: did, in: scope) != nil else {
            throw CommunityError.notMember
        }
        return member
    }

    /// The caller's DID, if they may do `permission`: a member whose role says so, or an administrator.
    func holder(_ caller: Caller, of permission: CommunityPermission) throws -> DID {
        guard let did = caller.did else { throw CommunityError.notMember }
        let permissions = try CommunityStore.permissions(of: did, in: self.did, scope)
        if caller.isAdministrator { return did }
        guard let permissions else { throw CommunityError.notMember }
        guard permissions.contains(permission) else { throw CommunityError.forbidden }
        return did
    }

    func isOwner(_ member: DID) throws -> Bool {
        try CommunityStore.roleName(of: member, in: did, scope) == DefaultRole.owner.rawValue
    }

    func proposal(_ rkey: RecordKey) throws -> GovernanceStore.ProposalRow {
        guard let row = try GovernanceStore.proposal(rkey, of: did, in: scope) else {
            throw GovernanceError.proposalNotFound
        }
        return row
    }

    /// Whether a vote can be cast on it.
    func isVotedOn(_ proposal: Proposal) -> Bool {
        proposal.status == .open && now < proposal.expiresAt && proposal.model.rawValue == community.model
    }

    // MARK: Writing

    /// Notes what was done, in the name of the caller. Never what somebody voted.
    func note(_ action: String, _ meta: DataMap = [:]) throws {
        try audit.record("community.\(action)", by: caller, target: did.string, meta: meta, in: scope)
    }

    func put(_ proposal: Proposal, at rkey: RecordKey) -> RecordWrite {
        RecordWrite(collection: CommunityCollections.proposal, action: .put(key: rkey, record: proposal.record))
    }

    @discardableResult
    func apply(_ writes: [RecordWrite], by act: CommunityAct) throws -> RepositoryWriteOutcome {
        try transaction.apply(writes, to: did, by: .act(act))
    }

    // MARK: Deciding

    /// Counts as far as needed, and closes the proposal when it is decided or its time is up.
    ///
    /// - Throws: `Setback` when what was decided could not be carried out.
    func settle(_ row: GovernanceStore.ProposalRow) throws -> Proposal {
        let proposal = row.proposal
        guard proposal.status == .open, let model = proposal.model.model else { return proposal }
        var poll = try storedPoll(row.rkey)
        guard proposal.model.rawValue == community.model else {
            let decision = Decision.expired("The community decides by another model now.")
            return try close(row, decision, poll, basis: poll.countedOn, isOver: true)
        }
        var isOver = now >= proposal.endsAt
        if proposal.ballot == .secret, !isOver {
            guard now >= proposal.expiresAt else { return proposal }
            let sums = try GovernanceStore.sums(on: row.rkey, round: proposal.round, of: did, in: scope)
            isOver = sums.count.sealed == 0
            guard isOver else { return proposal }
        }
        if !isOver, try GovernanceCounting.quickDecision(row, poll, of: did, in: scope) != nil { return proposal }
        let (reckoning, basis) = try GovernanceCounting.reckoning(row, of: did, basis: nil, in: scope)
        let decision = model.decide(reckoning.poll, reckoning.count, isOver: isOver)
        poll.carriedMax = reckoning.count.voted.carried
        poll.isStale = false
        guard decision.isFinal else {
            try GovernanceStore.store(poll, proposal: row.rkey, of: did, in: scope)
            return proposal
        }
        return try close(row, decision, poll, basis: basis, isOver: isOver)
    }

    func storedPoll(_ rkey: RecordKey) throws -> GovernanceStore.Poll {
        try GovernanceStore.poll(rkey, of: did, in: scope) ?? GovernanceStore.Poll(carriedMax: 0, isStale: true)
    }

    private func close(
        _ row: GovernanceStore.ProposalRow, _ decision: Decision, _ poll: GovernanceStore.Poll, basis: CountingBasis?,
        isOver: Bool
    ) throws -> Proposal {
        var (proposal, poll) = (row.proposal, poll)
        var writes: [RecordWrite] = []
        proposal.outcome = decision.reason
        proposal.resolvedAt = now
        switch (decision, execution) {
        case (.open, _): return row.proposal
        case (.rejected, _): proposal.status = .rejected
        case (.expired, _): proposal.status = .expired
        case (.approved(let winner, _), .carriedOut):
            proposal.status = .approved
            writes = try ProposedWrite.writes(of: proposal, winner: winner)
        case (.approved, .heldBack(let why)):
            proposal.outcome = "\(decision.reason) It could not be carried out: \(why)"
            if isOver { proposal.status = .expired } else { proposal.resolvedAt = nil }
        }
        if proposal.status != .open { poll.countedOn = basis }
        if writes.isEmpty {
            if proposal != row.proposal { try apply([put(proposal, at: row.rkey)], by: .clock) }
        } else {
            let outcome = try carryOut(writes, of: proposal, at: row.rkey)
            poll.appliedCID = outcome.results.first?.cid
            poll.appliedRev = outcome.rev?.string
        }
        try GovernanceStore.store(poll, proposal: row.rkey, of: did, in: scope)
        let ends: [Proposal.Status: String] = [.approved: "approve", .rejected: "reject", .expired: "expire"]
        if let end = ends[proposal.status] {
            try note("proposal.\(end)", ["proposal": .string(row.rkey.string)])
        }
        return proposal
    }

    /// What was decided and the end of the proposal, in one commit.
    private func carryOut(
        _ writes: [RecordWrite], of proposal: Proposal, at rkey: RecordKey
    ) throws -> RepositoryWriteOutcome {
        do {
            for write in writes { try move(by: write) }
            return try apply(writes + [put(proposal, at: rkey)], by: .resolution(proposal: rkey))
        } catch let error as StorageError {
            throw error
        } catch let error as Setback {
            throw error
        } catch {
            throw Setback.failed(try Self.sentence(on: error))
        }
    }

    /// Settings that open or close the community move its account, too.
    private func move(by write: RecordWrite) throws {
        guard write.collection == CommunityCollections.settings, case .put(_, let record) = write.action,
            let settings = CommunitySettings(record), settings.visibility != community.visibility
        else { return }
        if settings.visibility == .public, case .carriedOut(isOpeningPrepared: false) = execution {
            throw Setback.needsOpening
        }
        _ = try communities.change(did, settings.visibility == .public ? .open : .confine, in: scope)
    }

    /// Tries what is proposed, and undoes it by ending the transaction.
    func rehearse(_ proposal: Proposal, at rkey: RecordKey) throws {
        do {
            let winners: [RecordKey?] = proposal.options.isEmpty ? [nil] : proposal.options.map(\.id)
            for winner in winners {
                let writes = try ProposedWrite.writes(of: proposal, winner: winner)
                if !writes.isEmpty { try apply(writes, by: .resolution(proposal: rkey)) }
            }
        } catch let error as StorageError {
            throw error
        } catch {
            throw GovernanceError.invalid(try Self.sentence(on: error))
        }
        throw Setback.rehearsed
    }

    /// What a refusal says to people; an error that is the server's own is passed on.
    private static func sentence(on error: any Error) throws -> String {
        guard let wire = (error as? any WireConvertible)?.wire, wire.status < 500 else { throw error }
        return wire.message
    }
}
