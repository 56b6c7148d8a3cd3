package import ATProtocol
import Base
package import Contracts
package import Storage

/// Delegations: one of each member, until it is revoked or outvoted by one's own vote.
extension GovernanceService {
    /// Has the vote of `delegate` count for the caller's own wherever the caller casts none. Replaces the former one.
    ///
    /// - Throws: `CommunityError.noSuchMember` when `delegate` is none; `GovernanceError.delegationCycle`, `.invalid`.
    package func delegate(
        to delegate: DID, in community: DID, by caller: Caller
    ) async throws -> (rkey: RecordKey, cid: CID) {
        try await assemble(community, for: caller) { assembly in
            let member = try assembly.member(caller)
            guard member != delegate else {
                throw GovernanceError.invalid("delegateDid: nobody delegates to themselves")
            }
            guard try CommunityStore.member(delegate, of: community, in: assembly.scope) != nil else {
                throw CommunityError.noSuchMember
            }
            try Self.follow(delegate, to: member, in: assembly)
            let present = try GovernanceStore.delegations(from: member, of: community, in: assembly.scope)
            let rkey = present.last?.rkey ?? assembly.transaction.newKey()
            let record = DelegationRecord(delegator: member, delegate: delegate, createdAt: assembly.now)
            var writes = [
                RecordWrite(
                    collection: CommunityCollections.delegation, action: .put(key: rkey, record: record.record))
            ]
            writes += present.dropLast().map { Self.removal(of: $0.rkey) }
            let outcome = try assembly.apply(writes, by: .participation(member))
            try GovernanceStore.markStale(community, in: assembly.scope)
            try assembly.note("delegation.set", ["delegate": .string(delegate.string)])
            guard let cid = outcome.results.first?.cid else { throw GovernanceError.delegationNotFound }
            return (rkey, cid)
        }
    }

    /// Refuses a way from `delegate` that comes back to `member`, or leads too far.
    private static func follow(_ delegate: DID, to member: DID, in assembly: Assembly) throws {
        var next = delegate
        for _ in 0..<GovernanceLimits.delegationWayMax {
            let choice = try GovernanceStore.delegations(from: next, of: assembly.did, in: assembly.scope).last
            guard let choice else { return }
            guard choice.delegate != member else { throw GovernanceError.delegationCycle }
            next = choice.delegate
        }
        throw GovernanceError.invalid(
            "delegateDid: their delegation leads on over more than \(GovernanceLimits.delegationWayMax) members")
    }

    /// Ends the caller's delegation.
    ///
    /// - Throws: `GovernanceError.delegationNotFound`; `CommunityError`.
    package func revokeDelegation(in community: DID, by caller: Caller) async throws {
        try await assemble(community, for: caller) { assembly in
            let member = try assembly.member(caller)
            let present = try GovernanceStore.delegations(from: member, of: community, in: assembly.scope)
            guard !present.isEmpty else { throw GovernanceError.delegationNotFound }
            try assembly.apply(present.map { Self.removal(of: $0.rkey) }, by: .participation(member))
            try assembly.note("delegation.revoke")
        }
    }

    /// What removes a member's own delegation, in the commit that removes the member.
    package static func farewell(
        of member: DID, from community: DID, in scope: any ReadScope
    ) throws -> [RecordWrite] {
        try GovernanceStore.delegations(from: member, of: community, in: scope).map { removal(of: $0.rkey) }
    }

    private static func removal(of rkey: RecordKey) -> RecordWrite {
        RecordWrite(collection: CommunityCollections.delegation, action: .delete(key: rkey, mustExist: false))
    }
}
