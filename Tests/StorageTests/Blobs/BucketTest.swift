import ATProtocol
import Base
import TestDatabases
import Testing

@testable import Storage

/// What tests of a store on a misbehaving bucket have in common.
protocol BucketTest {
    var random: SeededRandomness { get }
    /// Where uploads are gathered.
    var spool: ScratchDirectory { get }
}

extension BucketTest {
    func put(_ store: S3BlobStore, _ bytes: [UInt8]) async throws -> StoredBlob {
        try await store.put([bytes].asAsync(), for: EventLogTests.alice, sizeBytesMax: 1 << 24)
    }

    /// What a reader gets of a blob, and how it ends.
    func read(
        _ store: S3BlobStore, _ location: BlobLocation, _ range: Range<Int64>? = nil
    ) async -> (bytes: [UInt8], error: BlobStoreError?) {
        var bytes: [UInt8] = []
        do {
            for try await chunk in try await store.read(location, range: range) { bytes += chunk }
            return (bytes, nil)
        } catch {
            return (bytes, error as? BlobStoreError)
        }
    }

    func isUnavailable(_ error: (any Error)?) -> Bool {
        guard let error = error as? BlobStoreError else { return false }
        switch error {
        case .unavailable(let reason), .refused(let reason):
            #expect(error.wire.status == 503 && !reason.contains("never-to-be-seen") && !reason.contains("AKID"))
            return true
        default: return false
        }
    }

    func failure<T>(_ body: () async throws -> T) async -> (any Error)? {
        do { _ = try await body() } catch { return error }
        return nil
    }
}

extension ListedChunks {
    /// All that is left, at once.
    var drained: [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = pop() { bytes += chunk }
        return bytes
    }
}

/// A body that never comes, on a clock whose timeouts then run out.
struct Stalling: ObjectChunks {
    let clock: Kept<PauseClock>

    init(_ clock: Kept<PauseClock>) { self.clock = clock }

    func next() async throws -> [UInt8]? {
        clock.all.first?.expire()
        try await ParkedClock().sleep(until: .init(offset: .zero), tolerance: nil)
        return nil
    }
}

/// A body of single bytes, each a long time coming.
struct Dribbling: ObjectChunks {
    let clock: Kept<ManualClock>

    init(_ clock: Kept<ManualClock>) { self.clock = clock }

    func next() async throws -> [UInt8]? {
        clock.all.first?.advance(by: .seconds(9))
        return [1]
    }
}
