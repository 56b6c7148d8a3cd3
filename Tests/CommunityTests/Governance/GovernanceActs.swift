import ATProtocol
import Base
import Community
import Contracts
import Logging
import Publishing
import Storage

/// What tests of governance do, in few words.
extension GovernanceHouse {
    /// Proposes to name the community `name`.
    @discardableResult
    func propose(
        _ name: String, in town: TestCommunity, by author: DID? = nil, ballot: Proposal.Ballot? = nil
    ) async throws -> GovernanceService.Written {
        let draft = GovernanceService.Draft(
            target: RepositoryPath(CommunityCollections.profile, CommunityCollections.selfKey), action: .write,
            proposedRecord: profile(name), ballot: ballot)
        return try await governance.propose(draft, in: town.did, by: caller(author ?? town.owner))
    }

    func profile(_ name: String) -> DataValue {
        ["displayName": .string(name), "description": "", "createdAt": "2025-01-01T00:00:00.000Z"]
    }

    func vote(_ vote: Vote, _ rkey: RecordKey, _ town: TestCommunity, by index: Int) async throws
        -> GovernanceService.Voted
    {
        try await self.vote(vote, rkey, town, by: town.people[index])
    }

    @discardableResult
    func vote(_ vote: Vote, _ rkey: RecordKey, _ town: TestCommunity, by voter: DID) async throws
        -> GovernanceService.Voted
    {
        try await governance.vote(.open(vote, reason: nil), on: rkey, in: town.did, by: caller(voter))
    }

    func status(_ rkey: RecordKey, _ town: TestCommunity) async throws -> Proposal.Status {
        try await governance.proposal(rkey, of: town.did, for: caller(town.owner)).row.proposal.status
    }

    func displayName(of town: TestCommunity) async throws -> String? {
        try await record(CommunityCollections.profile, CommunityCollections.selfKey, of: town.did)?["displayName"]?
            .stringValue
    }

    /// Runs the background work until `isDone`.
    func runJobs(until isDone: @escaping @Sendable () async throws -> Bool) async throws {
        let module = GovernanceModule(
            governance, signal: signal, randomness: SeededRandomness(seed: 3), logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await module.run() }
            while try await !isDone() {
                signal.wake()
                await Task.yield()
            }
            group.cancelAll()
        }
    }
}

extension RepositoryWriter {
    /// A key for a record that a test makes itself.
    func freshKey() async throws -> RecordKey { try await transact(on: []) { $0.newKey() } }
}
