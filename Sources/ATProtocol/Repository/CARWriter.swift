/// Writes CAR version 1: `uvarint(length) ‖ header`, then for each block `uvarint(length) ‖ CID ‖ bytes`.
///
/// Spec: https://ipld.io/specs/transport/car/carv1/
package enum CARWriter {
    /// The MIME type of archives.
    package static let mimeType = "application/vnd.ipld.car"

    /// The header with its length.
    package static func header(roots: [CID]) -> [UInt8] {
        var header = CBORWriter(reservingCapacity: 64)
        header.map(count: 2)
        header.text("roots")
        header.array(count: roots.count)
        for root in roots { header.link(root) }
        header.text("version")
        header.integer(1)
        var result: [UInt8] = []
        append(varint: UInt64(header.bytes.count), to: &result)
        result.append(contentsOf: header.bytes)
        return result
    }

    /// Appends one block.
    package static func append(_ cid: CID, _ bytes: some Collection<UInt8>, to output: inout [UInt8]) {
        append(varint: UInt64(CID.byteCount + bytes.count), to: &output)
        cid.append(to: &output)
        output.append(contentsOf: bytes)
    }

    private static func append(varint value: UInt64, to output: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        output.append(UInt8(rest))
    }
}

/// A block of an archive, its hash checked.
package struct CARBlock: Sendable, Hashable {
    package var cid: CID
    package var bytes: [UInt8]

    package init(cid: CID, bytes: [UInt8]) {
        self.cid = cid
        self.bytes = bytes
    }
}
