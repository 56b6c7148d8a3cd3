package import ATProtocol
import Foundation
import Synchronization

/// An archive on its way in: blocks in a file, their places in memory (about 150 bytes a block).
package final class ArchiveSpool: BlockSource, Sendable {
    private struct Place {
        var offset: UInt64
        var length: UInt32
    }

    private struct State {
        var reader = CARReader()
        var places: [CID: Place] = [:]
        var end: UInt64 = 0
        /// Blocks not written yet: one write for many of them.
        var pending: [UInt8] = []
        var file: FileHandle
    }

    private static let pendingSizeBytes = 1 << 20
    /// More blocks than this are refused: a repository of a million records has about 1,300,000.
    private static let blockCountMax = 2_000_000

    private let path: String
    private let state: Mutex<State>

    /// - Throws: when the file cannot be made.
    package init(directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        // mkstemp wants six X at the end of its template, and puts in their place what makes the name a new one.
        var template = Array((directory + "/import-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw SpoolError.cannotCreate(errno: errno) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        state = Mutex(State(file: FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)))
    }

    /// Different blocks so far.
    package var blockCount: Int { state.withLock { $0.places.count } }

    /// Takes the next piece of the archive.
    package func append(_ piece: [UInt8]) throws {
        try state.withLock { state in
            state.reader.append(piece)
            while let block = try state.reader.next() {
                guard state.places[block.cid] == nil else { continue }
                guard state.places.count < Self.blockCountMax else {
                    throw RepositoryError.limitExceeded("the archive has more than \(Self.blockCountMax) blocks")
                }
                state.places[block.cid] = Place(offset: state.end, length: UInt32(block.bytes.count))
                state.end += UInt64(block.bytes.count)
                state.pending.append(contentsOf: block.bytes)
                if state.pending.count >= Self.pendingSizeBytes { try Self.flush(&state) }
            }
        }
    }

    private static func flush(_ state: inout State) throws {
        guard !state.pending.isEmpty else { return }
        try state.file.write(contentsOf: state.pending)
        state.pending.removeAll(keepingCapacity: true)
    }

    /// Ends the archive; returns its one root.
    ///
    /// - Throws: `.invalidArchive` when it is cut short or has not exactly one root.
    package func finish() throws -> CID {
        try state.withLock { state in
            try state.reader.finish()
            try Self.flush(&state)
            guard let roots = state.reader.roots, let root = roots.first, roots.count == 1 else {
                throw RepositoryError.invalidArchive(message: "exactly one root is needed", offset: 0)
            }
            return root
        }
    }

    package func block(_ cid: CID) throws(RepositoryError) -> [UInt8]? {
        let (place, descriptor) = state.withLock { ($0.places[cid], $0.file.fileDescriptor) }
        guard let place else { return nil }
        let count = Int(place.length)
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let read = pread(
                    descriptor, buffer.baseAddress.map { $0 + filled }, count - filled,
                    off_t(place.offset) + off_t(filled))
                guard read > 0 else {
                    failed = true
                    return
                }
                filled += read
            }
        }
        guard !failed else { throw .missingBlock(cid) }
        return bytes
    }

    /// Removes the file.
    package func remove() {
        unlink(path)
    }
}

/// Why an archive cannot be spooled.
enum SpoolError: Error, Sendable, Hashable {
    case cannotCreate(errno: Int32)
}
