import Synchronization

/// Reads an open file chunk by chunk, on the store's threads.
final class DiskChunkSource: BlobChunkSource {
    private let file: FileDescriptor
    private let end: Int64
    private let chunkSizeBytes: Int
    private let threads: WorkerThreads<Void>
    private let offset: Mutex<Int64>

    init(file: FileDescriptor, range: Range<Int64>, chunkSizeBytes: Int, threads: WorkerThreads<Void>) {
        self.file = file
        end = range.upperBound
        self.chunkSizeBytes = chunkSizeBytes
        self.threads = threads
        offset = Mutex(range.lowerBound)
    }

    func next() async throws(BlobStoreError) -> [UInt8]? {
        let start = offset.withLock { $0 }
        guard start < end else { return nil }
        let count = Int(min(end - start, Int64(chunkSizeBytes)))
        let chunk = try await threads.onDisk { [file] () throws(BlobStoreError) in
            try file.read(at: start, count: count)
        }
        guard chunk.count == count else { throw .damaged }
        offset.withLock { $0 = start + Int64(count) }
        return chunk
    }
}

extension WorkerThreads<Void> {
    /// Runs `body` on one of the threads, with the errors of blobs.
    func onDisk<T: Sendable>(
        _ body: @escaping @Sendable () throws(BlobStoreError) -> T
    ) async throws(BlobStoreError) -> T {
        do {
            return try await run { _ in try body() }
        } catch let error as BlobStoreError {
            throw error
        } catch StorageError.overloaded {
            throw .overloaded
        } catch {
            throw .unavailable(reason: String(describing: error))
        }
    }
}
