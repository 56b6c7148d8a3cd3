package import ATProtocol
package import Base
import Crypto

/// `net.openfederation.community.proposal`.
package struct Proposal: Sendable, Hashable {
    /// What is to happen at the target.
    package enum Action: String, Sendable, Hashable {
        case write
        case delete
    }

    /// Where it stands.
    package enum Status: String, Sendable, Hashable, CaseIterable {
        case open, approved, rejected, expired, withdrawn
    }

    /// How votes are cast.
    package enum Ballot: String, Sendable, Hashable {
        case open
        /// Sealed until the voting is over.
        case secret
    }

    /// One of the things a ranked choice is between.
    package struct Option: Sendable, Hashable {
        package var id: RecordKey
        package var title: String
        /// What is written when it wins; nothing when nil.
        package var record: DataValue?

        package init(id: RecordKey, title: String, record: DataValue?) {
            self.id = id
            self.title = title
            self.record = record
        }
    }

    /// Who could vote when it opened.
    package struct Electorate: Sendable, Hashable {
        package var count: Int
        package var takenAt: Timestamp
        package var voterRole: String
        /// See `ElectorateDigest`.
        package var digest: String
    }

    package var target: RepositoryPath
    package var action: Action
    package var proposedRecord: DataValue?
    package var options: [Option]
    package var reason: String?
    package var proposedBy: DID
    package var status: Status
    package var model: GovernanceModelName
    package var quorum: Quorum
    package var electorate: Electorate
    package var ballot: Ballot
    package var createdAt: Timestamp
    /// When the voting is over.
    package var expiresAt: Timestamp
    /// When sealed votes can be opened no more.
    package var revealUntil: Timestamp?
    package var resolvedAt: Timestamp?
    package var outcome: String?
    /// Former texts, the oldest first, as the lexicon has them.
    package var amendments: [DataValue]

    /// How often it was amended; votes of earlier rounds don't count.
    package var round: Int { amendments.count }

    /// What is voted on, for the count.
    package var poll: Poll {
        Poll(quorum: quorum, electorateCount: electorate.count, options: options.map(\.id))
    }

    /// When it must be decided.
    package var endsAt: Timestamp { revealUntil ?? expiresAt }
}

extension Proposal {
    /// Nil when the record is none of its kind.
    package init?(_ record: DataValue) {
        guard let collection = record["targetCollection"]?.stringValue.flatMap({ try? NSID(parsing: $0) }),
            let key = record["targetRkey"]?.stringValue.flatMap({ try? RecordKey(parsing: $0) }),
            let action = record["action"]?.stringValue.flatMap(Action.init(rawValue:)),
            let proposedBy = record["proposedBy"]?.stringValue.flatMap({ try? DID(parsing: $0) }),
            let status = record["status"]?.stringValue.flatMap(Status.init(rawValue:)),
            let model = record["governanceModel"]?.stringValue.flatMap(GovernanceModelName.init(rawValue:)),
            let quorum = record["quorum"].flatMap(Quorum.init(record:)),
            let electorate = record["electorate"].flatMap(Electorate.init(record:)),
            let ballot = record["ballot"]?.stringValue.flatMap(Ballot.init(rawValue:)),
            let createdAt = record.moment("createdAt"), let expiresAt = record.moment("expiresAt")
        else { return nil }
        self.init(
            target: RepositoryPath(collection, key), action: action, proposedRecord: record["proposedRecord"],
            options: Self.options(record["options"]), reason: record["reason"]?.stringValue, proposedBy: proposedBy,
            status: status, model: model, quorum: quorum, electorate: electorate, ballot: ballot, createdAt: createdAt,
            expiresAt: expiresAt, revealUntil: record.moment("revealUntil"), resolvedAt: record.moment("resolvedAt"),
            outcome: record["outcome"]?.stringValue, amendments: record["amendments"]?.arrayValue ?? [])
    }

    /// The options of a record or an input; what is none is left out.
    package static func options(_ value: DataValue?) -> [Option] {
        (value?.arrayValue ?? []).compactMap { option in
            guard let id = option["id"]?.stringValue.flatMap({ try? RecordKey(parsing: $0) }),
                let title = option["title"]?.stringValue
            else { return nil }
            return Option(id: id, title: title, record: option["proposedRecord"])
        }
    }

    /// The record.
    package var record: DataValue {
        var map: DataMap = [
            "$type": .string(CommunityCollections.proposal.string),
            "targetCollection": .string(target.collection.string), "targetRkey": .string(target.key.string),
            "action": .string(action.rawValue), "proposedBy": .string(proposedBy.string),
            "status": .string(status.rawValue), "governanceModel": .string(model.rawValue), "quorum": quorum.record,
            "electorate": electorate.record, "ballot": .string(ballot.rawValue),
            "createdAt": .string(Datetime(createdAt).string), "expiresAt": .string(Datetime(expiresAt).string),
        ]
        map["proposedRecord"] = proposedRecord
        if !options.isEmpty { map["options"] = .array(options.map(\.value)) }
        map["reason"] = reason.map(DataValue.string)
        map["revealUntil"] = revealUntil.map { .string(Datetime($0).string) }
        map["resolvedAt"] = resolvedAt.map { .string(Datetime($0).string) }
        map["outcome"] = outcome.map(DataValue.string)
        if !amendments.isEmpty { map["amendments"] = .array(amendments) }
        return .map(map)
    }
}

extension Proposal.Option {
    /// As the lexicon has it.
    var value: DataValue {
        var map: DataMap = ["id": .string(id.string), "title": .string(title)]
        map["proposedRecord"] = record
        return .map(map)
    }
}

extension Quorum {
    init?(record: DataValue) {
        guard let needed = record["needed"]?.integerValue else { return nil }
        self.init(needed: Int(clamping: needed), share: record["share"]?.integerValue.map { Int(clamping: $0) })
    }

    /// As the lexicon has it.
    var record: DataValue {
        var map: DataMap = ["needed": .integer(Int64(needed))]
        map["share"] = share.map { .integer(Int64($0)) }
        return .map(map)
    }
}

extension Proposal.Electorate {
    init?(record: DataValue) {
        guard let count = record["count"]?.integerValue, let takenAt = record.moment("takenAt") else { return nil }
        self.init(
            count: Int(clamping: count), takenAt: takenAt,
            voterRole: record["voterRole"]?.stringValue ?? GovernanceConfig.everyMember,
            digest: record["digest"]?.stringValue ?? "")
    }

    /// As the lexicon has it.
    var record: DataValue {
        [
            "count": .integer(Int64(count)), "takenAt": .string(Datetime(takenAt).string),
            "voterRole": .string(voterRole), "digest": .string(digest),
        ]
    }
}

/// `net.openfederation.community.vote`: one voter's vote in one round of a proposal, at a key that says whose it is.
package struct VoteRecord: Sendable, Hashable {
    package var proposal: RecordKey
    package var voter: DID
    package var round: Int
    /// Nil while it is sealed.
    package var vote: Vote?
    /// What a voter wants to say with it. An objection has its own.
    package var reason: String?
    package var commitment: String?
    package var salt: String?
    package var castAt: Timestamp
    package var revealedAt: Timestamp?

    package init(
        proposal: RecordKey, voter: DID, round: Int, vote: Vote?, reason: String? = nil, commitment: String? = nil,
        salt: String? = nil, castAt: Timestamp, revealedAt: Timestamp? = nil
    ) {
        self.proposal = proposal
        self.voter = voter
        self.round = round
        self.vote = vote
        self.reason = reason
        self.commitment = commitment
        self.salt = salt
        self.castAt = castAt
        self.revealedAt = revealedAt
    }

    /// Nil when the record is none of its kind.
    package init?(_ record: DataValue) {
        guard let proposal = record["proposal"]?.stringValue.flatMap({ try? RecordKey(parsing: $0) }),
            let voter = record["voter"]?.stringValue.flatMap({ try? DID(parsing: $0) }),
            let castAt = record.moment("castAt")
        else { return nil }
        let vote = Vote(
            side: record["vote"]?.stringValue, ranking: record["ranking"]?.arrayValue,
            reason: record["reason"]?.stringValue)
        self.init(
            proposal: proposal, voter: voter, round: Int(clamping: record["round"]?.integerValue ?? 0), vote: vote,
            reason: record["reason"]?.stringValue, commitment: record["commitment"]?.stringValue,
            salt: record["salt"]?.stringValue, castAt: castAt, revealedAt: record.moment("revealedAt"))
    }

    /// The record.
    package var record: DataValue {
        var map: DataMap = [
            "$type": .string(CommunityCollections.vote.string), "proposal": .string(proposal.string),
            "voter": .string(voter.string), "round": .integer(Int64(round)),
            "castAt": .string(Datetime(castAt).string),
        ]
        switch vote {
        case .ranking(let ids): map["ranking"] = .array(ids.map { .string($0.string) })
        case .some(let vote): map["vote"] = .string(vote.text)
        case nil: break
        }
        map["reason"] = reason.map(DataValue.string)
        map["commitment"] = commitment.map(DataValue.string)
        map["salt"] = salt.map(DataValue.string)
        map["revealedAt"] = revealedAt.map { .string(Datetime($0).string) }
        return .map(map)
    }

    /// What stands for a voter in keys: 26 letters and digits of a digest, for not every DID can be part of a key.
    package static func mark(of voter: DID) -> String {
        Base32.encode(SHA256.hash(data: Array(voter.string.utf8)).prefix(16))
    }

    /// `<proposal>.<round>.<mark>`: a voter has one vote a round, whoever asks how often.
    package static func key(_ proposal: RecordKey, round: Int, voter: DID) throws(SyntaxError) -> RecordKey {
        try RecordKey(parsing: "\(proposal.string).\(round).\(mark(of: voter))")
    }
}

extension Vote {
    /// The vote that a record or an input states; nil when it states none.
    package init?(side: String?, ranking: [DataValue]?, reason: String?) {
        switch (side, ranking) {
        case ("for", nil): self = .inFavour
        case ("against", nil): self = .against
        case ("object", nil): self = .objection(reason: reason ?? "")
        case (nil, let ranking?):
            self = .ranking(ranking.compactMap { $0.stringValue.flatMap { try? RecordKey(parsing: $0) } })
        default: return nil
        }
    }
}

/// `net.openfederation.community.delegation`.
package struct DelegationRecord: Sendable, Hashable {
    package var delegator: DID
    package var delegate: DID
    package var createdAt: Timestamp

    package init(delegator: DID, delegate: DID, createdAt: Timestamp) {
        self.delegator = delegator
        self.delegate = delegate
        self.createdAt = createdAt
    }

    /// Nil when the record is none of its kind.
    package init?(_ record: DataValue) {
        guard let delegator = record["delegatorDid"]?.stringValue.flatMap({ try? DID(parsing: $0) }),
            let delegate = record["delegateDid"]?.stringValue.flatMap({ try? DID(parsing: $0) }),
            let createdAt = record.moment("createdAt")
        else { return nil }
        self.init(delegator: delegator, delegate: delegate, createdAt: createdAt)
    }

    /// The record.
    package var record: DataValue {
        [
            "$type": .string(CommunityCollections.delegation.string), "delegatorDid": .string(delegator.string),
            "delegateDid": .string(delegate.string), "createdAt": .string(Datetime(createdAt).string),
        ]
    }
}

extension DataValue {
    /// The moment that the field `name` holds as a datetime.
    fileprivate func moment(_ name: String) -> Timestamp? {
        self[name]?.stringValue.flatMap { try? Datetime(parsing: $0) }?.timestamp
    }
}
