import ATProtocol
import Base
import Contracts
import Storage

/// What a proposal would do, and whether it may be proposed at all.
enum ProposedWrite {
    /// What is done when the proposal passes: nothing when an option wins that changes nothing.
    static func writes(of proposal: Proposal, winner: RecordKey?) throws -> [RecordWrite] {
        let record: DataValue?
        if let winner {
            record = proposal.options.first { $0.id == winner }?.record
            if record == nil { return [] }
        } else {
            record = proposal.proposedRecord
        }
        let key = proposal.target.key
        switch (proposal.action, record) {
        case (.delete, _):
            return [RecordWrite(collection: proposal.target.collection, action: .delete(key: key, mustExist: true))]
        case (.write, let record?):
            return [RecordWrite(collection: proposal.target.collection, action: .put(key: key, record: record))]
        case (.write, nil): return []
        }
    }

    /// What is voted on of a community itself. Proposals, votes and delegations come by voting alone.
    private static let ours: Set = [
        CommunityCollections.settings, CommunityCollections.profile, CommunityCollections.role,
        CommunityCollections.member, CommunityCollections.attestation, CommunityCollections.application,
    ]

    /// Refuses what makes no sense as a proposal, whatever the community is like.
    static func check(_ proposal: Proposal, catalog: LexiconCatalog) throws(GovernanceError) {
        let collection = proposal.target.collection
        let isOurs = collection.string.hasPrefix(CommunityCollections.prefix)
        guard !isOurs || ours.contains(collection) else {
            throw .invalid("targetCollection: \(collection) is not one that is voted on")
        }
        try checkForm(proposal)
        var records = proposal.options.compactMap(\.record)
        if let record = proposal.proposedRecord { records.append(record) }
        for record in records {
            let found = catalog.validateRecord(
                record, collection: collection, key: proposal.target.key, mode: isOurs ? .required : .whenKnown)
            if case .invalid(let error) = found { throw .invalid("proposedRecord: \(error.wire.message)") }
            if collection == CommunityCollections.settings { try checkSettings(record) }
        }
    }

    private static func checkForm(_ proposal: Proposal) throws(GovernanceError) {
        let ids = proposal.options.map(\.id)
        guard ids.isEmpty || proposal.model == .rankedChoice else {
            throw .invalid("options: \(proposal.model.rawValue) has none")
        }
        guard Set(ids).count == ids.count else { throw .invalid("options: two have one id") }
        switch proposal.action {
        case .delete:
            guard ids.isEmpty, proposal.proposedRecord == nil else {
                throw .invalid("a deletion has neither proposedRecord nor options")
            }
        case .write:
            guard ids.isEmpty != (proposal.proposedRecord == nil) else {
                throw .invalid("a write needs proposedRecord, or options")
            }
        }
    }

    /// Settings that nobody could ever decide by again are not for a vote either.
    private static func checkSettings(_ record: DataValue) throws(GovernanceError) {
        guard let settings = CommunitySettings(record) else { throw .invalid("proposedRecord: these are no settings") }
        guard let model = GovernanceModelName(rawValue: settings.model) else { throw .notSupported }
        if model != .benevolentDictator { _ = try GovernanceConfig(settings.config, model: model) }
    }

    /// Refuses what the community, as it is now, could not do.
    static func check(
        _ proposal: Proposal, in assembly: Assembly
    ) throws {
        let target = proposal.target
        let isThere = try assembly.transaction.record(target, of: assembly.did) != nil
        guard proposal.action == .write || isThere else {
            throw GovernanceError.invalid("there is no record to delete")
        }
        if target.collection == CommunityCollections.settings || target.collection == CommunityCollections.profile {
            guard proposal.action == .write || target.collection == CommunityCollections.profile else {
                throw GovernanceError.invalid("a community has settings")
            }
            guard target.key == CommunityCollections.selfKey else {
                throw GovernanceError.invalid("targetRkey must be self")
            }
        }
        guard target.collection == CommunityCollections.member, let record = proposal.proposedRecord else { return }
        // Nobody becomes a member by others' votes.
        guard let member = CommunityMember(record),
            let present = try CommunityStore.member(at: target.key, of: assembly.did, in: assembly.scope),
            present.member.did == member.did
        else { throw GovernanceError.invalid("targetRkey: that is not the membership of a member") }
    }
}
