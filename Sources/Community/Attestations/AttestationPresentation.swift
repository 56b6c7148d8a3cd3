package import ATProtocol
package import Base

/// One file in which a member shows what a community states of them, with those fields of a hidden claim that they
/// choose to open. It can be checked without asking anybody.
package struct AttestationPresentation: Sendable, Hashable {
    /// What `type` says.
    package static let type = "net.openfederation.attestation"
    /// What `version` says.
    package static let version: Int64 = 1
    /// How large a file that is read may be.
    package static let limits = DataLimits(sizeBytesMax: 4_194_304, depthMax: 24, valueCountMax: 50_000)

    /// The attestation as `attestationView` shows it.
    package let view: DataMap
    package let proof: AttestationProof
    package let disclosed: [OpenedField]

    package init(view: DataMap, proof: AttestationProof, disclosed: [OpenedField]) {
        self.view = view
        self.proof = proof
        self.disclosed = disclosed
    }

    /// Reads a file without checking what it says.
    ///
    /// - Throws: `.malformed` naming the part; a part that is not known is refused too.
    package init(json: [UInt8]) throws(AttestationFault) {
        guard let value = try? DataValue(json: json, limits: Self.limits), case .map(let map) = value else {
            throw .malformed("the file")
        }
        for key in map.keys where !["type", "version", "attestation", "proof", "disclosed"].contains(key) {
            throw .malformed(key)
        }
        guard map["type"]?.stringValue == Self.type else { throw .malformed("type") }
        guard map["version"]?.integerValue == Self.version else { throw .malformed("version") }
        guard case .map(let view)? = map["attestation"] else { throw .malformed("attestation") }
        guard let proof = map["proof"] else { throw .malformed("proof") }
        self.view = view
        self.proof = try AttestationProof(proof)
        guard let list = map["disclosed"] else {
            disclosed = []
            return
        }
        guard case .array(let fields) = list, fields.count <= AttestationClaim.Limits.fieldCountMax else {
            throw .malformed("disclosed")
        }
        var opened: [OpenedField] = []
        for field in fields { opened.append(try OpenedField(field)) }
        disclosed = opened
    }

    /// The file, as `presentAttestation` answers it.
    package var value: DataValue {
        var map: DataMap = [
            "type": .string(Self.type), "version": .integer(Self.version), "attestation": .map(view),
            "proof": proof.value,
        ]
        if !disclosed.isEmpty { map["disclosed"] = .array(disclosed.map(\.wireValue)) }
        return .map(map)
    }

    /// What a presentation proves.
    package struct Verified: Sendable, Hashable {
        package var community: DID
        package var key: RecordKey
        package var cid: CID
        package var record: AttestationRecord
        /// The claim as far as it is open: all of it, or the disclosed fields.
        package var claim: DataMap
        package var grounds: AttestationProof.Grounds
        /// The moment of the commit, as the community tells it: the claim held then.
        package var committedAt: Timestamp
    }

    /// Checks all of it but whether it has expired.
    ///
    /// - Parameter known: the community's key, if the one who checks has it from elsewhere.
    /// - Throws: the first thing that does not hold.
    package func verify(known: PublicKey?) throws(AttestationFault) -> Verified {
        let (proof, grounds) = try proof.check(known: known)
        guard let stored = proof.record else { throw .absent }
        guard let record = AttestationRecord(stored.value) else { throw .malformed("the record") }
        let (community, key) = (proof.commit.did, proof.path.key)
        // Compared as bytes: texts that only look the same are not the same.
        let shown = DataValue.map(view).cbor()
        guard shown == DataValue.map(record.view(in: community, key: key, cid: stored.cid)).cbor() else {
            throw .contradictory("attestation")
        }
        let claim: DataMap
        switch record.content {
        case .open(let fields):
            guard disclosed.isEmpty else { throw .contradictory("disclosed") }
            claim = fields
        case .hidden(let commitment): claim = try commitment.open(disclosed)
        case .foreign:
            guard disclosed.isEmpty else { throw .contradictory("disclosed") }
            claim = DataMap()
        }
        return Verified(
            community: community, key: key, cid: stored.cid, record: record, claim: claim, grounds: grounds,
            committedAt: Timestamp(microseconds: proof.commit.rev.microseconds))
    }
}

extension OpenedField {
    /// Bytes of a value's JSON text that is read.
    private static let valueLimits = DataLimits(
        sizeBytesMax: 2 * AttestationClaim.Limits.byteCountMax, depthMax: AttestationClaim.Limits.depthMax)

    /// Reads `net.openfederation.community.presentAttestation#field`.
    ///
    /// - Throws: `.malformed`.
    package init(_ value: DataValue) throws(AttestationFault) {
        guard case .map(let map) = value, map.count == 3, let name = map["name"]?.stringValue,
            let text = map["value"]?.stringValue, let salt = map["salt"]?.stringValue.flatMap({ Hex.decode($0) }),
            let parsed = try? DataValue(json: Array(text.utf8), limits: Self.valueLimits)
        else { throw .malformed("disclosed") }
        self.init(name: name, value: parsed, salt: salt)
    }

    /// The field on the wire.
    package var wireValue: DataValue {
        [
            "name": .string(name), "value": .string(String(decoding: value.json(), as: UTF8.self)),
            "salt": .string(Hex.encode(salt)),
        ]
    }
}
