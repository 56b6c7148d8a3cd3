import Base
import Crypto

/// A content identifier of the kinds the AT Protocol blesses: version 1, SHA-256, codec dag-cbor or raw.
///
/// Binary form, 36 bytes: `01 ‖ codec ‖ 12 20 ‖ digest`. Text form, 59 characters: `b` + lower base32 of the binary form.
/// Spec: https://atproto.com/specs/data-model#link-and-cid-formats
package struct CID: Sendable, Hashable {
    /// What the hashed bytes are.
    package enum Codec: UInt8, Sendable {
        /// Records, tree nodes and commits.
        case dagCBOR = 0x71
        /// Blobs.
        case raw = 0x55
    }

    package let codec: Codec
    // The digest as four big-endian words: inline, so that a CID is a plain value without a reference count.
    private let word0: UInt64
    private let word1: UInt64
    private let word2: UInt64
    private let word3: UInt64

    /// Length of the binary form, in bytes.
    package static let byteCount = 36

    private init(codec: Codec, digest: UnsafeRawBufferPointer) {
        self.codec = codec
        word0 = UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        word1 = UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        word2 = UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        word3 = UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    /// The CID of `bytes` under `codec`.
    package static func of(_ bytes: some ContiguousBytesView, codec: Codec) -> CID {
        let digest = bytes.withBytes { buffer in
            var hasher = SHA256()
            hasher.update(bufferPointer: buffer)
            return hasher.finalize()
        }
        return digest.withUnsafeBytes { CID(codec: codec, digest: $0) }
    }

    /// The CID of an encoded record, node or commit.
    package static func of(dagCBOR bytes: some ContiguousBytesView) -> CID { of(bytes, codec: .dagCBOR) }

    /// The CID of a blob.
    package static func of(raw bytes: some ContiguousBytesView) -> CID { of(bytes, codec: .raw) }

    /// The CID with a SHA-256 digest computed elsewhere (a blob hashed while it streamed); nil unless 32 bytes.
    package init?(digest: [UInt8], codec: Codec) {
        guard digest.count == 32 else { return nil }
        self = digest.withUnsafeBytes { CID(codec: codec, digest: $0) }
    }

    /// Reads the binary form.
    ///
    /// - Throws: `.invalidCID` for another version, codec, hash or length.
    package init(bytes: some ContiguousBytesView) throws(DataModelError) {
        let value: CID? = bytes.withBytes { buffer in
            guard buffer.count == CID.byteCount, buffer[0] == 1, let codec = Codec(rawValue: buffer[1]),
                buffer[2] == 0x12, buffer[3] == 0x20
            else { return nil }
            return CID(codec: codec, digest: UnsafeRawBufferPointer(rebasing: buffer[4...]))
        }
        guard let value else { throw .invalidCID("(binary)") }
        self = value
    }

    /// Reads the text form.
    ///
    /// - Throws: `.invalidCID` for anything but 59 characters of multibase `b` holding a blessed CID.
    package init(parsing text: String) throws(DataModelError) {
        var utf8 = text.utf8[...]
        guard utf8.count == 59, utf8.popFirst() == UInt8(ascii: "b"), let bytes = Base32.decode(utf8: utf8) else {
            throw .invalidCID(text)
        }
        do { try self.init(bytes: bytes) } catch { throw .invalidCID(text) }
    }

    /// The SHA-256 digest, 32 bytes.
    package var digest: [UInt8] { Array(bytes[4...]) }

    /// The binary form, 36 bytes.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(CID.byteCount)
        append(to: &result)
        return result
    }

    /// Appends the binary form.
    package func append(to bytes: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: CID.byteCount, alignment: 8) { buffer in
            buffer[0] = 1
            buffer[1] = codec.rawValue
            buffer[2] = 0x12
            buffer[3] = 0x20
            buffer.storeBytes(of: word0.bigEndian, toByteOffset: 4, as: UInt64.self)
            buffer.storeBytes(of: word1.bigEndian, toByteOffset: 12, as: UInt64.self)
            buffer.storeBytes(of: word2.bigEndian, toByteOffset: 20, as: UInt64.self)
            buffer.storeBytes(of: word3.bigEndian, toByteOffset: 28, as: UInt64.self)
            bytes.append(contentsOf: buffer)
        }
    }

    /// The text form, 59 characters.
    package var string: String { "b" + Base32.encode(bytes) }
}

extension CID: Comparable {
    /// Order of the binary forms.
    package static func < (left: CID, right: CID) -> Bool {
        if left.codec != right.codec { return left.codec.rawValue < right.codec.rawValue }
        if left.word0 != right.word0 { return left.word0 < right.word0 }
        if left.word1 != right.word1 { return left.word1 < right.word1 }
        if left.word2 != right.word2 { return left.word2 < right.word2 }
        return left.word3 < right.word3
    }
}

extension CID: CustomStringConvertible {
    package var description: String { string }
}

/// Bytes that lie in one piece: `[UInt8]` and its slices.
package protocol ContiguousBytesView {
    /// Calls `body` with the bytes; they are valid during the call only.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result
}

extension Array: ContiguousBytesView where Element == UInt8 {
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(body)
    }
}

extension ArraySlice: ContiguousBytesView where Element == UInt8 {
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        withUnsafeBytes(body)
    }
}
