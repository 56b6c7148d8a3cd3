package import ATProtocol
package import Base
import Foundation

extension DiskBlobStore {
    package func deleteAll(of did: DID) async throws(BlobStoreError) {
        let directory = BlobLocation.directory(of: did)
        let paths = [root + "/stored/" + directory, root + "/quarantine/" + directory]
        try await onDisk { () throws(BlobStoreError) in
            for path in paths {
                for name in try Self.names(in: path) where unlink(path + "/" + name) != 0 && errno != ENOENT {
                    throw FileDescriptor.lastError()
                }
                rmdir(path)
            }
        }
    }

    package func list(after: BlobLocation?, limit: Int) async throws(BlobStoreError) -> [ListedBlob] {
        let area = root + "/stored"
        return try await onDisk { () throws(BlobStoreError) in
            var listed: [ListedBlob] = []
            let last = after?.string ?? ""
            for shard in try Self.names(in: area) where Self.mayHold(shard, after: last) {
                for account in try Self.names(in: area + "/" + shard)
                where Self.mayHold(shard + "/" + account, after: last) {
                    let directory = shard + "/" + account
                    for name in try Self.names(in: area + "/" + directory) where directory + "/" + name > last {
                        guard listed.count < limit else { return listed }
                        if let blob = try Self.look(at: directory + "/" + name, in: area) { listed.append(blob) }
                    }
                }
            }
            return listed
        }
    }

    package func removeAbandoned(before moment: Timestamp) async throws(BlobStoreError) -> Int {
        let area = root + "/incoming"
        return try await onDisk { () throws(BlobStoreError) in
            var removed = 0
            for name in try Self.names(in: area) {
                var status = stat()
                guard lstat(area + "/" + name, &status) == 0, Timestamp(status.st_mtim) < moment else { continue }
                if unlink(area + "/" + name) == 0 { removed += 1 }
            }
            return removed
        }
    }

    /// Whether a directory can hold a location behind `last`.
    private static func mayHold(_ directory: String, after last: String) -> Bool {
        directory >= last.prefix(directory.count)
    }

    private static func look(at name: String, in area: String) throws(BlobStoreError) -> ListedBlob? {
        var status = stat()
        guard let location = try? BlobLocation(parsing: name), lstat(area + "/" + name, &status) == 0 else {
            return nil
        }
        return ListedBlob(
            location: location, sizeBytes: Int64(status.st_size), storedAt: Timestamp(status.st_mtim))
    }

    /// The names in a directory, sorted; none when there is no such directory.
    private static func names(in path: String) throws(BlobStoreError) -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw FileDescriptor.lastError()
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}

extension Timestamp {
    fileprivate init(_ time: timespec) {
        self.init(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }
}
