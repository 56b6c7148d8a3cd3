import ATProtocol
import Base
import Community
import Contracts
import Logging
import Publishing
import Testing
import Web

/// The methods on the wire: what they take and answer is what their lexicons say.
@Suite struct GovernanceRouteTests {
    private struct Wire: Sendable {
        let house: GovernanceHouse
        let responder: XRPCResponder<Caller, AccessRule>

        init(_ house: GovernanceHouse) throws {
            self.house = house
            var router = XRPCRouter<Caller, AccessRule>(anonymous: [.anyone]) { [house] _, head in
                try head.header("x-caller").map { house.caller(try DID(parsing: $0)) } ?? .anonymous
            }
            GovernanceRoutes(governance: house.governance).add(to: &router)
            responder = try XRPCResponder(
                router, catalog: house.catalog, settings: ResponderSettings(logger: Logger(label: "test")))
        }

        /// The answer to a call, held against the lexicon, or the name of the failure.
        func call(
            _ name: String, _ input: DataValue? = nil, query: String = "", by caller: DID? = nil
        ) async throws -> (status: Int, body: DataValue) {
            let nsid = "net.openfederation.community.\(name)"
            var headers = input == nil ? [] : [(name: "content-type", value: "application/json")]
            if let caller { headers.append((name: "x-caller", value: caller.string)) }
            let head = RequestHead(
                method: input == nil ? "GET" : "POST", target: "/xrpc/\(nsid)\(query)", headers: headers)
            let held = try await responder.answer(head, body: input?.json() ?? [])
            let body = try DataValue(json: held.body)
            if held.status == 200 {
                try #require(house.catalog.method(try NSID(parsing: nsid))).validate(output: body)
            }
            return (held.status, body)
        }
    }

    @Test func aProposalGoesItsWay() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 4, quorum: 2)
        let wire = try Wire(house)
        let community = DataValue.string(town.did.string)
        let delegated = try await wire.call(
            "setDelegation", ["communityDid": community, "delegateDid": .string(town.people[1].string)],
            by: town.people[2])
        #expect(delegated.status == 200)
        let proposed = try await wire.call(
            "createProposal",
            [
                "communityDid": community, "targetCollection": "net.openfederation.community.profile",
                "targetRkey": "self", "action": "write", "proposedRecord": house.profile("Renamed"),
            ], by: town.owner)
        let rkey = try #require(proposed.body["rkey"])
        let query = "?communityDid=\(town.did.string)&rkey=\(rkey.stringValue ?? "")"
        let shown = try await wire.call("getProposal", query: query, by: town.owner)
        #expect(shown.body["votesFor"] == [.string(town.owner.string)])
        #expect(shown.body["myVote"]?["vote"] == "for")
        let amended = try await wire.call(
            "amendProposal",
            ["communityDid": community, "proposalRkey": rkey, "proposedRecord": house.profile("Amended")],
            by: town.owner)
        #expect(amended.body["amendmentCount"] == 1)
        let voted = try await wire.call(
            "voteOnProposal", ["communityDid": community, "proposalRkey": rkey, "vote": "for"], by: town.people[1])
        #expect(voted.body["status"] == "approved" && voted.body["applied"] == true)
        let again = try await wire.call(
            "voteOnProposal", ["communityDid": community, "proposalRkey": rkey, "vote": "for"], by: town.owner)
        #expect(again.status == 400 && again.body["error"] == "ProposalClosed")
        let tally = try await wire.call("getProposalTally", query: query + "&limit=3")
        #expect(tally.body["tally"]?["delegated"] == 1 && tally.body["applied"]?["applied"] == true)
        #expect(tally.body["ballots"]?.arrayValue?.count == 3)
        let rest = try await wire.call(
            "getProposalTally", query: query + "&limit=3&cursor=\(tally.body["cursor"]?.stringValue ?? "")")
        #expect(rest.body["ballots"]?.arrayValue?.count == 1 && rest.body["cursor"] == nil)
        let list = try await wire.call("listProposals", query: "?communityDid=\(town.did.string)&status=approved")
        #expect(list.body["proposals"]?.arrayValue?.count == 1)
        let delegation = try await wire.call(
            "getDelegation", query: "?communityDid=\(town.did.string)&memberDid=\(town.people[3].string)")
        #expect(delegation.body["delegatedTo"] == .null)
        let revoked = try await wire.call("revokeDelegation", ["communityDid": community], by: town.people[2])
        #expect(revoked.status == 200)
        await house.discard()
    }

    @Test func rankingsAndSealsAreShown() async throws {
        let (house, town) = try await GovernanceTests.scene(members: 2, quorum: 1, model: "ranked-choice")
        let wire = try Wire(house)
        let community = DataValue.string(town.did.string)
        let options: DataValue = [["id": "tea", "title": "Tea"], ["id": "coffee", "title": "Coffee"]]
        func propose(_ ballot: String) async throws -> DataValue {
            try #require(
                try await wire.call(
                    "createProposal",
                    [
                        "communityDid": community, "targetCollection": "net.openfederation.community.profile",
                        "targetRkey": "self", "action": "write", "options": options, "ballot": .string(ballot),
                    ], by: town.owner
                ).body["rkey"])
        }
        let open = try await propose("open")
        let query = "?communityDid=\(town.did.string)&rkey="
        for (person, ranking) in zip(town.people, [["tea", "coffee"], ["tea"]] as [DataValue]) {
            let voted = try await wire.call(
                "voteOnProposal", ["communityDid": community, "proposalRkey": open, "ranking": ranking], by: person)
            #expect(voted.status == 200)
        }
        let tally = try await wire.call("getProposalTally", query: query + (open.stringValue ?? ""))
        #expect(tally.body["status"] == "approved" && tally.body["tally"]?["winner"] == "tea")
        #expect(tally.body["ranking"]?["order"] == [["tea"], ["coffee"]])
        let secret = try await propose("secret")
        let sealed = try await wire.call(
            "voteOnProposal",
            [
                "communityDid": community, "proposalRkey": secret,
                "commitment": .string(String(repeating: "0f", count: 32)),
            ], by: town.owner)
        #expect(sealed.body["status"] == "open")
        let veiled = try await wire.call("getProposalTally", query: query + (secret.stringValue ?? ""))
        #expect(veiled.body["tally"]?["sealed"] == 1 && veiled.body["ranking"] == nil)
        let early = try await wire.call(
            "revealVote",
            [
                "communityDid": community, "proposalRkey": secret, "ranking": ["tea"],
                "salt": .string(String(repeating: "0f", count: 16)),
            ], by: town.owner)
        #expect(early.body["error"] == "NotRevealing")
        let withdrawn = try await wire.call(
            "withdrawProposal", ["communityDid": community, "proposalRkey": secret], by: town.owner)
        #expect(withdrawn.body["status"] == "withdrawn")
        await house.discard()
    }

    @Test func refusalsHaveTheirNames() async throws {
        let house = try await GovernanceHouse()
        let town = try await house.community(memberCount: 2)
        let wire = try Wire(house)
        let community = DataValue.string(town.did.string)
        let onChain = try await wire.call(
            "setGovernanceModel", ["communityDid": community, "governanceModel": "on-chain"], by: town.owner)
        #expect(onChain.body["error"] == "GovernanceNotSupported")
        let idle = try await wire.call(
            "createProposal",
            [
                "communityDid": community, "targetCollection": "net.openfederation.community.profile",
                "targetRkey": "self", "action": "delete",
            ], by: town.owner)
        #expect(idle.body["error"] == "GovernanceNotActive")
        let config: DataValue = ["quorum": 1, "voterRole": "member"]
        for (status, answer) in [(200, nil), (403, "GovernanceDenied")] as [(Int, DataValue?)] {
            let set = try await wire.call(
                "setGovernanceModel",
                ["communityDid": community, "governanceModel": "simple-majority", "governanceConfig": config],
                by: town.owner)
            #expect(set.status == status && set.body["error"] == answer)
            #expect(set.body["requiresProposal"] == (status == 403 ? true : DataValue?.none))
        }
        let cursor = try await wire.call("listProposals", query: "?communityDid=\(town.did.string)&cursor=a%20b")
        #expect(cursor.status == 400 && cursor.body["error"] == "InvalidRequest")
        await house.discard()
    }
}
