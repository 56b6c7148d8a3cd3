package import ATProtocol
package import Base

/// A field of a hidden claim, opened: with its salt anybody can compute what the community has signed.
package struct OpenedField: Sendable, Hashable {
    package var name: String
    package var value: DataValue
    /// `ClaimCommitment.saltByteCount` random bytes.
    package var salt: [UInt8]

    package init(name: String, value: DataValue, salt: [UInt8]) {
        self.name = name
        self.value = value
        self.salt = salt
    }

    /// SHA-256 of the canonical DAG-CBOR of `[domain, salt, name, value]`.
    package var commitment: [UInt8] {
        let preimage: DataValue = [.string(ClaimCommitment.fieldDomain), .bytes(salt), .string(name), value]
        return CID.of(dagCBOR: preimage.cbor()).digest
    }
}

/// What stands for a claim that is hidden: one hash for each field, and one over them all.
///
/// Each hash is over the field and a salt of its own, so that no value can be found by trying. The hashes stand in their
/// own order, and random ones fill the list up, so that neither the names' order nor their number is told.
package struct ClaimCommitment: Sendable, Hashable {
    static let fieldDomain = "net.openfederation.attestation.field"
    private static let listDomain = "net.openfederation.attestation.fields"
    /// Bytes of a salt.
    package static let saltByteCount = 32
    /// Bytes of a hash.
    package static let hashByteCount = 32
    /// The length of a list is a multiple of this.
    package static let countStep = 8

    /// Hashes in ascending order of their bytes, each once.
    package let hashes: [[UInt8]]

    /// - Parameter hashes: in any order.
    /// - Throws: `.malformed` when there are too many, one twice, or one of another length.
    package init(hashes: [[UInt8]]) throws(AttestationFault) {
        guard (1...AttestationClaim.Limits.fieldCountMax).contains(hashes.count),
            hashes.allSatisfy({ $0.count == Self.hashByteCount }), Set(hashes).count == hashes.count
        else { throw .malformed("fieldCommitments") }
        self.hashes = hashes.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Hides a claim.
    ///
    /// - Returns: the commitment and all fields, opened.
    /// - Throws: `AttestationError.invalidClaim` for too many fields, none, or a long name.
    package static func hiding(
        _ claim: AttestationClaim, randomness: any Randomness
    ) throws(AttestationError) -> (commitment: ClaimCommitment, fields: [OpenedField]) {
        let limits = AttestationClaim.Limits.self
        guard (1...limits.fieldCountMax).contains(claim.fields.count) else {
            throw .invalidClaim("one that is private has 1 to \(limits.fieldCountMax) fields")
        }
        guard claim.fields.keys.allSatisfy({ (1...limits.nameByteCountMax).contains($0.utf8.count) }) else {
            throw .invalidClaim("the name of a field that is private has 1 to \(limits.nameByteCountMax) bytes")
        }
        let fields = claim.fields.map { name, value in
            OpenedField(name: name, value: value, salt: randomness.bytes(saltByteCount))
        }
        var hashes = fields.map(\.commitment)
        while hashes.count % countStep != 0 { hashes.append(randomness.bytes(hashByteCount)) }
        guard let commitment = try? ClaimCommitment(hashes: hashes) else {
            throw .invalidClaim("its fields could not be hidden")
        }
        return (commitment, fields)
    }

    /// SHA-256 of the canonical DAG-CBOR of `[domain, hashes]`.
    package var whole: [UInt8] {
        let preimage: DataValue = [.string(Self.listDomain), .array(hashes.map(DataValue.bytes))]
        return CID.of(dagCBOR: preimage.cbor()).digest
    }

    /// Checks opened fields.
    ///
    /// - Returns: names and values.
    /// - Throws: `.notCommitted` for the first field that was not hidden here; `.malformed` for a name that comes twice or a
    ///   salt of another length.
    package func open(_ fields: [OpenedField]) throws(AttestationFault) -> DataMap {
        var opened = DataMap()
        for field in fields {
            guard field.salt.count == Self.saltByteCount, opened[field.name] == nil else {
                throw .malformed("disclosed")
            }
            guard hashes.contains(field.commitment) else { throw .notCommitted(field: field.name) }
            opened[field.name] = field.value
        }
        return opened
    }
}
