package import ATProtocol
import Base

/// What shows that a community states something, or states it no longer: to be checked, not believed.
///
/// On the wire `net.openfederation.community.defs#proof`.
package struct AttestationProof: Sendable, Hashable {
    /// Why a key is taken for the community's, from the strongest to the weakest.
    package enum Grounds: String, Sendable, Hashable {
        /// The one who checks knows it: from the identity's document as it is now, or otherwise.
        case known
        /// The operations of a did:plc identity, which follow from its DID; a later one may have replaced it.
        case identityLog = "identity-log"
        /// The word of whoever made the proof.
        case stated
    }

    /// How large it may be.
    package enum Limits {
        /// Bytes of the archive.
        package static let archiveByteCountMax = 1_000_000
        /// Operations of the identity that are sent along.
        package static let operationCountMax = 200
    }

    package let did: DID
    package let key: RecordKey
    package let isPresent: Bool
    package let rev: TID
    /// The signed commit, DAG-CBOR.
    package let commit: [UInt8]
    /// As `RecordProof` reads it.
    package let archive: [UInt8]
    package let signingKey: PublicKey
    /// The community's DID document as it was.
    package let document: DataValue?
    /// The operations of its did:plc identity, the first to the latest.
    package let operations: DataValue?
    package let checkedAt: Datetime

    /// Makes a proof of what was checked already.
    package init(
        _ proof: RecordProof, archive: [UInt8], signingKey: PublicKey, document: DataValue?, operations: DataValue?,
        checkedAt: Datetime
    ) {
        did = proof.commit.did
        key = proof.path.key
        isPresent = proof.record != nil
        rev = proof.commit.rev
        commit = proof.commit.bytes
        self.archive = archive
        self.signingKey = signingKey
        self.document = document
        let count = operations?.arrayValue?.count ?? 0
        self.operations = (1...Limits.operationCountMax).contains(count) ? operations : nil
        self.checkedAt = checkedAt
    }

    private static let required = [
        "did", "collection", "rkey", "present", "rev", "commit", "car", "signingKey", "checkedAt",
    ]
    private static let optional = ["didDocument", "didLog"]

    /// Reads a proof without checking it.
    ///
    /// - Throws: `.malformed` naming the field; a field that is not known is refused too.
    package init(_ value: DataValue) throws(AttestationFault) {
        guard case .map(let map) = value else { throw .malformed("proof") }
        for key in map.keys where !(Self.required + Self.optional).contains(key) { throw .malformed("proof.\(key)") }
        func text<T>(_ name: String, _ read: (String) throws -> T) throws(AttestationFault) -> T {
            guard let text = map[name]?.stringValue, let parsed = try? read(text) else {
                throw .malformed("proof.\(name)")
            }
            return parsed
        }
        func bytes(_ name: String) throws(AttestationFault) -> [UInt8] {
            guard let bytes = map[name]?.bytesValue, bytes.count <= Limits.archiveByteCountMax else {
                throw .malformed("proof.\(name)")
            }
            return bytes
        }
        did = try text("did") { try DID(parsing: $0) }
        key = try text("rkey") { try RecordKey(parsing: $0) }
        rev = try text("rev") { try TID(parsing: $0) }
        signingKey = try text("signingKey") { try PublicKey(didKey: $0) }
        checkedAt = try text("checkedAt") { try Datetime(parsing: $0) }
        commit = try bytes("commit")
        archive = try bytes("car")
        guard try text("collection", { try NSID(parsing: $0) }) == AttestationRecord.collection else {
            throw .malformed("proof.collection")
        }
        guard let isPresent = map["present"]?.booleanValue else { throw .malformed("proof.present") }
        self.isPresent = isPresent
        document = map["didDocument"]
        operations = map["didLog"]
        if let operations, !(1...Limits.operationCountMax).contains(operations.arrayValue?.count ?? 0) {
            throw .malformed("proof.didLog")
        }
    }

    /// The proof on the wire.
    package var value: DataValue {
        var map: DataMap = [
            "did": .string(did.string), "collection": .string(AttestationRecord.collection.string),
            "rkey": .string(key.string), "present": .boolean(isPresent), "rev": .string(rev.string),
            "commit": .bytes(commit), "car": .bytes(archive), "signingKey": .string(signingKey.didKey),
            "checkedAt": .string(checkedAt.string),
        ]
        map["didDocument"] = document
        map["didLog"] = operations
        return .map(map)
    }

    /// Checks all of it.
    ///
    /// - Parameter known: the community's key, if the one who checks has it from elsewhere.
    /// - Throws: the first thing that does not hold.
    package func check(known: PublicKey?) throws(AttestationFault) -> (proof: RecordProof, grounds: Grounds) {
        let grounds = try checkKey(known: known)
        let path = RepositoryPath(AttestationRecord.collection, key)
        let proof: RecordProof
        do { proof = try RecordProof(archive: archive, of: path, in: did, signedBy: signingKey) } catch {
            throw .unproven(error)
        }
        guard proof.commit.bytes == commit else { throw .contradictory("proof.commit") }
        guard proof.commit.rev == rev else { throw .contradictory("proof.rev") }
        guard (proof.record != nil) == isPresent else { throw .contradictory("proof.present") }
        return (proof, grounds)
    }

    private func checkKey(known: PublicKey?) throws(AttestationFault) -> Grounds {
        if let known, known != signingKey { throw .wrongKey }
        if let document {
            guard let parsed = try? DIDDocument(document), parsed.did == did else {
                throw .malformed("proof.didDocument")
            }
            guard parsed.signingKey == signingKey else { throw .contradictory("proof.didDocument") }
        }
        if let operations {
            let log: PLCLog
            do { log = try PLCLog(verifyingLog: operations, of: did) } catch { throw .unprovenIdentity("\(error)") }
            guard log.document?.signingKey == signingKey else { throw .wrongKey }
        }
        return known != nil ? .known : operations != nil ? .identityLog : .stated
    }
}
