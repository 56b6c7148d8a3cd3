import ATProtocol
import Base

/// Proposals and counts as the methods show them.
enum GovernanceViews {
    /// `net.openfederation.community.defs#proposalView`, without how it stands.
    static func proposal(_ row: GovernanceStore.ProposalRow, of community: DID, now: Timestamp) -> DataMap {
        var map = row.proposal.record.mapValue ?? [:]
        map["$type"] = nil
        map["uri"] = .string(GovernanceStore.uri(of: row.rkey, of: community))
        map["cid"] = .string(row.cid.string)
        map["rkey"] = .string(row.rkey.string)
        map["phase"] = .string(phase(row.proposal, now: now))
        return map
    }

    /// With how it stands, and the caller's own part in it.
    static func proposal(_ shown: GovernanceService.Shown, of community: DID, for caller: DID?) -> DataMap {
        var map = proposal(shown.row, of: community, now: shown.now)
        map["tally"] = tally(shown)
        if shown.row.proposal.options.isEmpty, shown.row.proposal.ballot == .open || shown.decision != nil {
            map["votesFor"] = .array(named(shown) { $0 == .inFavour })
            map["votesAgainst"] = .array(
                named(shown) { vote in
                    switch vote {
                    case .against, .objection: true
                    case .inFavour, .ranking: false
                    }
                })
        }
        if let caller, shown.reckoning.flow.parts[caller] != nil {
            map["myVote"] = ballot(of: caller, in: shown, handle: nil)
        }
        return map
    }

    /// Those for whom a vote counts that `isMeant`, in the order of their DIDs.
    private static func named(_ shown: GovernanceService.Shown, _ isMeant: (Vote) -> Bool) -> [DataValue] {
        let reckoning = shown.reckoning
        let dids = reckoning.flow.parts.compactMap { voter, part -> String? in
            let caster: DID
            switch part {
            case .own: caster = voter
            case .carried(let carrier): caster = carrier
            default: return nil
            }
            guard let vote = reckoning.votes[caster] ?? nil, isMeant(vote) else { return nil }
            return voter.string
        }
        return dids.sorted().prefix(GovernanceLimits.namedCountMax).map(DataValue.string)
    }

    private static func phase(_ proposal: Proposal, now: Timestamp) -> String {
        guard proposal.status == .open else { return "closed" }
        if now < proposal.expiresAt { return "voting" }
        return now < proposal.endsAt ? "revealing" : "closed"
    }

    private static func tally(_ shown: GovernanceService.Shown) -> DataValue {
        let (count, poll) = (shown.reckoning.count, shown.reckoning.poll)
        var map: DataMap = [
            "voted": .integer(Int64(count.voted.total)), "direct": .integer(Int64(count.voted.own)),
            "delegated": .integer(Int64(count.voted.carried)), "quorumMet": .boolean(poll.isQuorumMet(count)),
        ]
        if poll.options.isEmpty {
            map["for"] = .integer(Int64(count.inFavour.total))
            if shown.row.proposal.model == .consent {
                map["objections"] = .integer(Int64(count.objections.total))
            } else {
                map["against"] = .integer(Int64(count.against.total))
            }
        }
        if shown.row.proposal.ballot == .secret { map["sealed"] = .integer(Int64(count.sealed)) }
        if case .approved(let winner?, _) = shown.decision { map["winner"] = .string(winner.string) }
        return .map(map)
    }

    /// `net.openfederation.community.defs#ballot`.
    private static func ballot(of voter: DID, in shown: GovernanceService.Shown, handle: String?) -> DataValue {
        var map: DataMap = [
            "voter": .string(voter.string), "counted": .boolean(shown.reckoning.isCounted(voter)),
        ]
        map["handle"] = handle.map(DataValue.string)
        let way = shown.reckoning.flow.way(from: voter, countMax: GovernanceLimits.delegationWayMax)
        if !way.isEmpty { map["delegatedThrough"] = .array(way.map { .string($0.string) }) }
        guard let vote = shown.votes[voter] else { return .map(map) }
        switch vote.vote {
        case .ranking(let ids): map["ranking"] = .array(ids.map { .string($0.string) })
        case .some(let vote): map["vote"] = .string(vote.text)
        case nil: break
        }
        map["reason"] = vote.reason.map(DataValue.string)
        map["commitment"] = vote.commitment.map(DataValue.string)
        map["salt"] = vote.salt.map(DataValue.string)
        map["castAt"] = .string(Datetime(vote.castAt).string)
        map["revealedAt"] = vote.revealedAt.map { .string(Datetime($0).string) }
        return .map(map)
    }

    /// The answer of `getProposalTally`.
    static func arithmetic(_ arithmetic: GovernanceService.Arithmetic, of community: DID) -> DataMap {
        let shown = arithmetic.shown
        let proposal = shown.row.proposal
        var map: DataMap = [
            "uri": .string(GovernanceStore.uri(of: shown.row.rkey, of: community)),
            "rkey": .string(shown.row.rkey.string), "status": .string(proposal.status.rawValue),
            "phase": .string(phase(proposal, now: shown.now)), "governanceModel": .string(proposal.model.rawValue),
            "ballot": .string(proposal.ballot.rawValue), "electorate": proposal.electorate.record,
            "quorum": proposal.quorum.record, "tally": tally(shown),
            "outcome": .string(proposal.outcome ?? shown.decision?.reason ?? "Votes are sealed."),
            "ballots": .array(
                arithmetic.voters.map { ballot(of: $0, in: shown, handle: arithmetic.handles[$0]) }),
        ]
        if !proposal.options.isEmpty, shown.decision != nil { map["ranking"] = pairwise(shown) }
        map["applied"] = application(shown, of: community)
        map["cursor"] = arithmetic.cursor.map { .string($0.string) }
        return map
    }

    private static func pairwise(_ shown: GovernanceService.Shown) -> DataValue {
        let count = SchulzeCount(
            options: shown.reckoning.poll.options, rankings: shown.reckoning.count.rankings.mapValues(\.total))
        let matrix: ([[Int]]) -> DataValue = { rows in
            .array(rows.map { row in .array(row.map { .integer(Int64($0)) }) })
        }
        return [
            "options": .array(count.options.map { .string($0.string) }), "preferences": matrix(count.preferences),
            "strengths": matrix(count.strengths),
            "order": .array(count.order.map { group in .array(group.map { .string($0.string) }) }),
        ]
    }

    private static func application(_ shown: GovernanceService.Shown, of community: DID) -> DataValue? {
        let proposal = shown.row.proposal
        switch proposal.status {
        case .approved:
            var map: DataMap = ["applied": true]
            map["cid"] = shown.poll?.appliedCID.map { .string($0.string) }
            map["rev"] = shown.poll?.appliedRev.map(DataValue.string)
            if proposal.action == .write {
                map["uri"] = .string("at://\(community.string)/\(proposal.target.string)")
            }
            return .map(map)
        case .open, .expired:
            guard case .approved = shown.decision, let why = proposal.outcome else { return nil }
            return ["applied": false, "error": .string(why)]
        case .rejected, .withdrawn: return nil
        }
    }
}
