/// Reads CAR version 1 as its bytes arrive, checking the hash of every block.
///
/// Push pieces with `append`, take blocks with `next` until it gives nil, and call `finish` at the end of the input.
/// Memory: one block and one piece. Blocks may come in any order and more than once.
/// Spec: https://ipld.io/specs/transport/car/carv1/
package struct CARReader: Sendable {
    /// Longest block section, in bytes: records are at most 1 MiB, nodes with mined keys may be larger.
    package static let sectionByteCountMax = 4_194_304
    /// Longest header, in bytes.
    package static let headerByteCountMax = 65_536
    /// Most roots.
    package static let rootCountMax = 1_000

    /// The roots, once the header was read.
    package private(set) var roots: [CID]?
    private var buffer: [UInt8] = []
    private var start = 0
    private var offset = 0

    package init() {}

    /// Adds the next piece of input.
    package mutating func append(_ piece: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: piece)
    }

    /// The next whole block, or nil when more input is needed.
    ///
    /// - Throws: `.invalidArchive` with the offset; `.hashMismatch`; `.limitExceeded`.
    package mutating func next() throws(RepositoryError) -> CARBlock? {
        if roots == nil {
            guard let header = try section(limit: CARReader.headerByteCountMax) else { return nil }
            roots = try parse(header: Array(header))
        }
        let sectionOffset = offset
        guard let section = try section(limit: CARReader.sectionByteCountMax) else { return nil }
        guard section.count >= CID.byteCount, let cid = try? CID(bytes: section.prefix(CID.byteCount)) else {
            throw .invalidArchive(message: "a block has no CID of an allowed kind", offset: sectionOffset)
        }
        let bytes = Array(section.dropFirst(CID.byteCount))
        guard CID.of(bytes, codec: cid.codec) == cid else { throw .hashMismatch(cid) }
        return CARBlock(cid: cid, bytes: bytes)
    }

    /// - Throws: `.invalidArchive` when the input ended inside the header or a block.
    package func finish() throws(RepositoryError) {
        guard roots != nil else { throw .invalidArchive(message: "the header is incomplete", offset: offset) }
        guard start == buffer.count else { throw .invalidArchive(message: "ends inside a block", offset: offset) }
    }

    private mutating func section(limit: Int) throws(RepositoryError) -> ArraySlice<UInt8>? {
        var length = 0
        var shift = 0
        var position = start
        while true {
            guard position < buffer.count else { return nil }
            let byte = buffer[position]
            position += 1
            length |= Int(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    throw .invalidArchive(message: "a length is not in its shortest form", offset: offset)
                }
                break
            }
            shift += 7
            guard shift <= 28 else { throw .invalidArchive(message: "a length is too long", offset: offset) }
        }
        guard length > 0 else { throw .invalidArchive(message: "a section is empty", offset: offset) }
        guard length <= limit else {
            throw .limitExceeded("a section of \(length) bytes at byte \(offset); at most \(limit) are allowed")
        }
        guard buffer.count - position >= length else { return nil }
        offset += position + length - start
        start = position + length
        return buffer[position..<start]
    }

    private func parse(header: [UInt8]) throws(RepositoryError) -> [CID] {
        let value: DataValue
        do { value = try DataValue(cbor: header, limits: .block) } catch {
            throw .invalidArchive(message: "header: \(error)", offset: 0)
        }
        guard value["version"]?.integerValue == 1 else {
            throw .invalidArchive(message: "header: version must be 1", offset: 0)
        }
        guard let roots = value["roots"]?.arrayValue else {
            throw .invalidArchive(message: "header: roots are missing", offset: 0)
        }
        guard roots.count <= CARReader.rootCountMax else { throw .limitExceeded("too many roots") }
        var result: [CID] = []
        for root in roots {
            guard let cid = root.linkValue else {
                throw .invalidArchive(message: "header: a root is no link", offset: 0)
            }
            result.append(cid)
        }
        return result
    }
}

extension CARReader {
    /// Reads a whole archive from memory; for small ones such as those in firehose frames.
    ///
    /// - Returns: roots and blocks in their order.
    package static func read(_ bytes: [UInt8]) throws(RepositoryError) -> (roots: [CID], blocks: [CARBlock]) {
        var reader = CARReader()
        reader.append(bytes)
        var blocks: [CARBlock] = []
        while let block = try reader.next() { blocks.append(block) }
        try reader.finish()
        return (reader.roots ?? [], blocks)
    }
}
