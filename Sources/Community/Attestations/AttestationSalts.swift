import ATProtocol
import Storage

/// What opens hidden claims, sealed by the vault until the subject asks for it.
struct AttestationSalts: Sendable {
    private static let purpose = KeyPurpose("attestation.salts")

    let vault: KeyVault

    func seal(_ fields: [OpenedField], of key: RecordKey, in community: DID) throws -> [UInt8] {
        let content = DataValue.array(fields.map { [.string($0.name), $0.value, .bytes($0.salt)] })
        return try vault.seal(content.cbor(), purpose: Self.purpose, owner: Self.owner(key, community))
    }

    /// The named fields.
    ///
    /// - Throws: `AttestationError.invalidRequest` for one that the claim doesn't have, or when the salts are not here.
    func open(
        _ sealed: [UInt8]?, _ names: [String], of key: RecordKey, in community: DID, under commitment: ClaimCommitment
    ) throws -> [OpenedField] {
        guard let sealed else {
            throw AttestationError.invalidRequest("What opens the claim is not kept here.")
        }
        let content = try vault.open(sealed, purpose: Self.purpose, owner: Self.owner(key, community))
        let all = (try DataValue(cbor: content).arrayValue ?? []).compactMap(Self.field)
        var chosen: [OpenedField] = []
        for name in names where !chosen.contains(where: { DataMap.sameKey($0.name, name) }) {
            guard let field = all.first(where: { DataMap.sameKey($0.name, name) }) else {
                throw AttestationError.invalidRequest("The claim has no field of the name \(name).")
            }
            chosen.append(field)
        }
        guard (try? commitment.open(chosen)) != nil else {
            throw AttestationError.invalidRequest("What opens the claim is not kept here.")
        }
        return chosen
    }

    private static func owner(_ key: RecordKey, _ community: DID) -> String { "\(community.string)/\(key.string)" }

    private static func field(_ value: DataValue) -> OpenedField? {
        guard let parts = value.arrayValue, parts.count == 3, let name = parts[0].stringValue,
            let salt = parts[2].bytesValue
        else { return nil }
        return OpenedField(name: name, value: parts[1], salt: salt)
    }
}
