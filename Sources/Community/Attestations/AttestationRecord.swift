package import ATProtocol
package import Base

/// An attestation as its record says it: `net.openfederation.community.attestation`.
package struct AttestationRecord: Sendable, Hashable {
    /// What is claimed, as far as everybody may know.
    package enum Content: Sendable, Hashable {
        case open(DataMap)
        case hidden(ClaimCommitment)
        /// Hidden in a way that only the system that wrote it knows.
        case foreign(commitment: String?)
    }

    /// The kinds that can be issued; raw values are the wire's.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case membership, role, credential
    }

    package var subject: DID
    /// As the statement shows it; it may be another's today.
    package var subjectHandle: String
    /// A `Kind`, or what another system wrote.
    package var type: String
    package var content: Content
    package var issuedAt: Datetime
    package var expiresAt: Datetime?

    package init(
        subject: DID, subjectHandle: String, type: String, content: Content, issuedAt: Datetime, expiresAt: Datetime?
    ) {
        self.subject = subject
        self.subjectHandle = subjectHandle
        self.type = type
        self.content = content
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }

    /// Reads a record; nil when a part that must be there is missing or malformed.
    package init?(_ value: DataValue) {
        guard let subject = value["subjectDid"]?.stringValue.flatMap({ try? DID(parsing: $0) }),
            let subjectHandle = value["subjectHandle"]?.stringValue, let type = value["type"]?.stringValue,
            let issuedAt = value["issuedAt"]?.stringValue.flatMap({ try? Datetime(parsing: $0) }),
            let content = Self.content(value)
        else { return nil }
        self.init(
            subject: subject, subjectHandle: subjectHandle, type: type, content: content, issuedAt: issuedAt,
            expiresAt: nil)
        if let text = value["expiresAt"] {
            guard let moment = text.stringValue.flatMap({ try? Datetime(parsing: $0) }) else { return nil }
            expiresAt = moment
        }
    }

    private static func content(_ value: DataValue) -> Content? {
        guard value["visibility"]?.stringValue == "private" else { return value["claim"]?.mapValue.map(Content.open) }
        let whole = value["commitment"]?.stringValue
        guard let list = value["fieldCommitments"]?.arrayValue else { return .foreign(commitment: whole) }
        let hashes = list.compactMap { $0.stringValue.flatMap { Hex.decode($0) } }
        guard hashes.count == list.count, let commitment = try? ClaimCommitment(hashes: hashes),
            Hex.encode(commitment.whole) == whole
        else { return nil }
        return .hidden(commitment)
    }

    /// The record.
    package var value: DataValue {
        var map: DataMap = [
            "$type": .string(Self.collection.string), "subjectDid": .string(subject.string),
            "subjectHandle": .string(subjectHandle), "type": .string(type), "issuedAt": .string(issuedAt.string),
        ]
        map["expiresAt"] = expiresAt.map { .string($0.string) }
        switch content {
        case .open(let claim): map["claim"] = .map(claim)
        case .hidden(let commitment):
            map["visibility"] = "private"
            map["commitment"] = .string(Hex.encode(commitment.whole))
            map["fieldCommitments"] = .array(commitment.hashes.map { .string(Hex.encode($0)) })
        case .foreign(let commitment):
            map["visibility"] = "private"
            map["commitment"] = commitment.map { .string($0) }
        }
        return .map(map)
    }

    /// Where attestations are.
    package static let collection = CommunityCollections.attestation

    /// What it is shown as: `net.openfederation.community.defs#attestationView`.
    package func view(in community: DID, key: RecordKey, cid: CID) -> DataMap {
        let path = RepositoryPath(Self.collection, key)
        var view: DataMap = [
            "uri": .string(ATURI(.did(community), path).string), "cid": .string(cid.string),
            "rkey": .string(key.string), "subjectDid": .string(subject.string),
            "subjectHandle": .string(subjectHandle), "type": .string(type), "issuedAt": .string(issuedAt.string),
        ]
        view["expiresAt"] = expiresAt.map { .string($0.string) }
        switch content {
        case .open(let claim):
            view["visibility"] = "public"
            view["claim"] = .map(claim)
        case .hidden(let commitment):
            view["visibility"] = "private"
            view["claim"] = .some(DataValue.null)
            view["commitment"] = .string(Hex.encode(commitment.whole))
        case .foreign(let commitment):
            view["visibility"] = "private"
            view["claim"] = .some(DataValue.null)
            view["commitment"] = commitment.map { .string($0) }
        }
        return view
    }

    /// Whether it has ended at `now`.
    package func isExpired(at now: Timestamp) -> Bool { expiresAt.map { $0.timestamp <= now } ?? false }
}
