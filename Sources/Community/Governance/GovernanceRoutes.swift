import ATProtocol
import Base
package import Contracts
package import Web

/// `net.openfederation.community` methods of proposals, votes and delegations.
package struct GovernanceRoutes: Sendable {
    let governance: GovernanceService

    package init(governance: GovernanceService) {
        self.governance = governance
    }

    private static let prefix = "net.openfederation.community."

    /// Adds the methods to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let procedures: [(String, XRPCRouter<Caller, AccessRule>.Handler)] = [
            ("setGovernanceModel", setGovernanceModel), ("createProposal", createProposal),
            ("amendProposal", amendProposal), ("withdrawProposal", withdrawProposal),
            ("voteOnProposal", voteOnProposal), ("revealVote", revealVote), ("setDelegation", setDelegation),
            ("revokeDelegation", revokeDelegation),
        ]
        for (name, handler) in procedures {
            routes.procedure(Self.prefix + name, access: .session, handler: handler)
        }
        let queries: [(String, XRPCRouter<Caller, AccessRule>.Handler)] = [
            ("listProposals", listProposals), ("getProposal", getProposal),
            ("getProposalTally", getProposalTally), ("getDelegation", getDelegation),
        ]
        for (name, handler) in queries { routes.query(Self.prefix + name, access: .optional, handler: handler) }
    }

    // MARK: Proposals

    @Sendable private func setGovernanceModel(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let name = call.input["governanceModel"]?.stringValue ?? ""
        guard let model = GovernanceModelName(rawValue: name) else { throw GovernanceError.invalid("governanceModel") }
        try await governance.setModel(
            model, config: call.input["governanceConfig"]?.mapValue ?? [:], of: try call.community(), by: call.caller)
        return .json(["success": true, "governanceModel": .string(model.rawValue)])
    }

    @Sendable private func createProposal(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let action = call.input["action"]?.stringValue.flatMap(Proposal.Action.init(rawValue:)) else {
            throw GovernanceError.invalid("action")
        }
        let draft = GovernanceService.Draft(
            target: RepositoryPath(
                try NSID(parsing: call.input["targetCollection"]?.stringValue ?? ""),
                try RecordKey(parsing: call.input["targetRkey"]?.stringValue ?? "")),
            action: action, proposedRecord: call.input["proposedRecord"],
            options: Proposal.options(call.input["options"]), reason: call.input["reason"]?.stringValue,
            ballot: call.input["ballot"]?.stringValue.flatMap(Proposal.Ballot.init(rawValue:)))
        let community = try call.community()
        let written = try await governance.propose(draft, in: community, by: call.caller)
        return .json([
            "uri": .string(GovernanceStore.uri(of: written.rkey, of: community)), "cid": .string(written.cid.string),
            "rkey": .string(written.rkey.string),
        ])
    }

    @Sendable private func amendProposal(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let community = try call.community()
        let written = try await governance.amend(
            try call.proposal(), record: call.input["proposedRecord"],
            options: Proposal.options(call.input["options"]), reason: call.input["reason"]?.stringValue,
            in: community, by: call.caller)
        return .json([
            "uri": .string(GovernanceStore.uri(of: written.rkey, of: community)), "cid": .string(written.cid.string),
            "amendmentCount": .integer(Int64(written.proposal.amendments.count)),
        ])
    }

    @Sendable private func withdrawProposal(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        try await governance.withdraw(
            try call.proposal(), reason: call.input["reason"]?.stringValue, in: try call.community(), by: call.caller)
        return .json(["success": true, "status": .string(Proposal.Status.withdrawn.rawValue)])
    }

    @Sendable private func listProposals(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let community = try call.community()
        let cursor = try call.parameter("cursor").map { text throws(GovernanceError) in
            guard let key = try? RecordKey(parsing: text) else { throw .invalid("cursor") }
            return key
        }
        let page = try await governance.proposals(
            of: community, status: call.parameter("status").flatMap(Proposal.Status.init(rawValue:)), before: cursor,
            limit: call.limit, for: call.caller)
        let now = governance.clock.now()
        var answer: DataMap = [
            "proposals": .array(page.rows.map { .map(GovernanceViews.proposal($0, of: community, now: now)) })
        ]
        answer["cursor"] = page.cursor.map { .string($0.string) }
        return .json(.map(answer))
    }

    @Sendable private func getProposal(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let community = try call.community()
        let shown = try await governance.proposal(try call.key("rkey"), of: community, for: call.caller)
        return .json(.map(GovernanceViews.proposal(shown, of: community, for: call.caller.did)))
    }

    @Sendable private func getProposalTally(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let community = try call.community()
        let cursor = try call.parameter("cursor").map { text throws(GovernanceError) in
            guard let did = try? DID(parsing: text) else { throw .invalid("cursor") }
            return did
        }
        let arithmetic = try await governance.arithmetic(
            of: try call.key("rkey"), in: community, after: cursor, limit: call.limit, for: call.caller)
        return .json(.map(GovernanceViews.arithmetic(arithmetic, of: community)))
    }

    // MARK: Votes

    @Sendable private func voteOnProposal(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let cast: GovernanceService.Cast
        let vote = call.vote
        switch (vote, call.input["commitment"]?.stringValue) {
        case (let vote?, nil): cast = .open(vote, reason: call.input["reason"]?.stringValue)
        case (nil, let commitment?): cast = .sealed(commitment: commitment)
        default: throw GovernanceError.invalidBallot("a vote, a ranking or a commitment, and one of them")
        }
        let voted = try await governance.vote(
            cast, on: try call.proposal(), in: try call.community(), by: call.caller)
        return Self.answer(voted)
    }

    @Sendable private func revealVote(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let vote = call.vote else { throw GovernanceError.invalidBallot("a vote or a ranking, and one of them") }
        let voted = try await governance.reveal(
            vote, reason: call.input["reason"]?.stringValue, salt: call.input["salt"]?.stringValue ?? "",
            on: try call.proposal(), in: try call.community(), by: call.caller)
        return Self.answer(voted)
    }

    private static func answer(_ voted: GovernanceService.Voted) -> XRPCResponse {
        .json([
            "recorded": true, "status": .string(voted.status.rawValue), "applied": .boolean(voted.isApplied),
        ])
    }

    // MARK: Delegations

    @Sendable private func setDelegation(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let community = try call.community()
        let delegation = try await governance.delegate(
            to: try DID(parsing: call.input["delegateDid"]?.stringValue ?? ""), in: community, by: call.caller)
        let path = RepositoryPath(CommunityCollections.delegation, delegation.rkey)
        return .json([
            "uri": .string("at://\(community.string)/\(path.string)"), "cid": .string(delegation.cid.string),
            "rkey": .string(delegation.rkey.string),
        ])
    }

    @Sendable private func revokeDelegation(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        try await governance.revokeDelegation(in: try call.community(), by: call.caller)
        return .json(["success": true])
    }

    @Sendable private func getDelegation(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let member = try DID(parsing: call.parameter("memberDid") ?? "")
        let shown = try await governance.delegation(of: member, in: try call.community(), for: call.caller)
        return .json([
            "memberDid": .string(member.string), "delegatedTo": shown.to.map { .string($0.string) } ?? .null,
            "delegatedFrom": .array(shown.from.map { .string($0.string) }),
            "delegatedFromCount": .integer(Int64(shown.fromCount)),
        ])
    }
}

extension XRPCCall where Caller == Contracts.Caller {
    /// What the input or the parameters name, which the lexicon has checked.
    fileprivate func key(_ name: String) throws -> RecordKey {
        try RecordKey(parsing: parameter(name) ?? text(name) ?? "")
    }

    fileprivate func proposal() throws -> RecordKey { try key("proposalRkey") }
    fileprivate var limit: Int { page.limit }

    fileprivate var vote: Vote? {
        Vote(
            side: input["vote"]?.stringValue, ranking: input["ranking"]?.arrayValue,
            reason: input["reason"]?.stringValue)
    }
}
