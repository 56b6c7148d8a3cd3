/// A signed commit, version 3: the head of a repository.
///
/// `{data: link, did: text, prev: null, rev: tid, sig: bytes, version: 3}`; the signature covers the SHA-256 of the
/// canonical encoding without `sig`. Spec: https://atproto.com/specs/repository#commit-objects
package struct Commit: Sendable, Hashable {
    /// Whose repository.
    package let did: DID
    /// Revision: increases with every commit.
    package let rev: TID
    /// Root of the tree.
    package let data: CID
    /// 64 bytes, r ‖ s, low-S.
    package let signature: [UInt8]
    /// The canonical encoding with the signature.
    package let bytes: [UInt8]
    package let cid: CID

    /// Makes and signs a commit.
    ///
    /// - Throws: what the signer throws.
    package init(did: DID, rev: TID, data: CID, signer: some RepositorySigner) throws {
        let unsigned = Commit.encode(did: did, rev: rev, data: data, version: 3, previous: nil, signature: nil)
        let signature = try signer.sign(unsigned)
        self.did = did
        self.rev = rev
        self.data = data
        self.signature = signature
        bytes = Commit.encode(did: did, rev: rev, data: data, version: 3, previous: nil, signature: signature)
        cid = CID.of(dagCBOR: bytes)
    }

    /// Decodes a commit.
    ///
    /// - Throws: `.invalidCommit` naming what is wrong. The signature is not checked here.
    package init(bytes: [UInt8]) throws(RepositoryError) {
        let fields = try CommitFields(bytes: bytes)
        guard fields.version == 3 else {
            throw .invalidCommit("version \(fields.version) is not supported, only 3")
        }
        guard let rev = fields.rev else { throw .invalidCommit("rev is missing") }
        guard fields.hasPrevious else { throw .invalidCommit("prev is missing") }
        did = fields.did
        self.rev = rev
        data = fields.data
        signature = fields.signature
        self.bytes = bytes
        cid = CID.of(dagCBOR: bytes)
    }

    /// True when the signature verifies under `key`.
    package func isSigned(by key: PublicKey) -> Bool {
        guard let value = try? DataValue(cbor: bytes, limits: .block), case .map(var map) = value else { return false }
        map["sig"] = nil
        return key.isValid(signature: signature, for: DataValue.map(map).cbor())
    }

    private static func encode(
        did: DID, rev: TID, data: CID, version: Int64, previous: CID?, signature: [UInt8]?
    ) -> [UInt8] {
        var writer = CBORWriter(reservingCapacity: 256)
        writer.map(count: signature == nil ? 5 : 6)
        writer.text("did")
        writer.text(did.string)
        writer.text("rev")
        writer.text(rev.string)
        if let signature {
            writer.text("sig")
            writer.byteString(signature)
        }
        writer.text("data")
        writer.link(data)
        writer.text("prev")
        writer.link(previous)
        writer.text("version")
        writer.integer(version)
        return writer.bytes
    }
}

/// The fields of a commit of any version, for reading old archives.
///
/// Version 2 differed in that `prev` linked the commit before and `rev` could be absent.
package struct CommitFields: Sendable, Hashable {
    package var did: DID
    package var version: Int64
    package var data: CID
    package var rev: TID?
    /// Whether the field is there, null or not.
    package var hasPrevious: Bool
    package var previous: CID?
    package var signature: [UInt8]

    /// - Throws: `.invalidCommit` naming the field.
    package init(bytes: [UInt8]) throws(RepositoryError) {
        let value: DataValue
        do { value = try DataValue(cbor: bytes, limits: .block) } catch {
            throw .invalidCommit("\(error)")
        }
        guard case .map(let map) = value else { throw .invalidCommit("not a map") }
        guard let version = map["version"]?.integerValue else { throw .invalidCommit("version is missing") }
        guard version == 2 || version == 3 else {
            throw .invalidCommit("version \(version) is not supported")
        }
        guard let text = map["did"]?.stringValue, let did = try? DID(parsing: text) else {
            throw .invalidCommit("did is missing or malformed")
        }
        guard let data = map["data"]?.linkValue else { throw .invalidCommit("data is missing or no link") }
        guard let signature = map["sig"]?.bytesValue else { throw .invalidCommit("sig is missing or no bytes") }
        if let rev = map["rev"] {
            guard let text = rev.stringValue, let tid = try? TID(parsing: text) else {
                throw .invalidCommit("rev is not a TID")
            }
            self.rev = tid
        }
        if let previous = map["prev"], !previous.isNull {
            guard let link = previous.linkValue else { throw .invalidCommit("prev is neither null nor a link") }
            self.previous = link
        }
        self.did = did
        self.version = version
        self.data = data
        self.signature = signature
        hasPrevious = map["prev"] != nil
    }
}
