package import ATProtocol
package import Contracts
package import Storage

/// Records in people's own repositories, for the rooms of other wings.
package struct RecordDoor: PersonalRecords {
    let writer: RepositoryWriter

    private var database: any Database { writer.database }

    package init(writer: RepositoryWriter) {
        self.writer = writer
    }

    package func record(at path: RepositoryPath, of did: DID) async throws -> StoredRecord? {
        let text = path.string
        return try await database.read({ try RepositoryStore.record(text, did: did, in: $0) }).map {
            StoredRecord(path: path, cid: $0.cid, value: try DataValue(cbor: $0.value))
        }
    }

    package func collections(of did: DID) async throws -> [NSID] {
        let names: [String] = try await database.read { scope in
            guard let repository = try RepositoryStore.repository(did, in: scope) else { return [] }
            return try RepositoryStore.collections(of: repository.id, in: scope)
        }
        return names.compactMap { try? NSID(parsing: $0) }
    }

    package func put(
        _ value: DataValue, at path: RepositoryPath, replacing expected: RecordExpectation, by caller: Caller
    ) async throws -> CID {
        let swap: RecordWrite.Swap =
            switch expected {
            case .anything: .anything
            case .absent: .absent
            case .record(let cid): .record(cid)
            }
        let write = RecordWrite(
            collection: path.collection, action: .put(key: path.key, record: value), swap: swap)
        do {
            let outcome = try await writer.apply([write], to: try Self.owner(caller), by: caller)
            guard let cid = outcome.results.first?.cid else { throw RecordConflict() }
            return cid
        } catch RepositoryWriteError.invalidSwap {
            throw RecordConflict()
        }
    }

    package func remove(at path: RepositoryPath, by caller: Caller) async throws -> Bool {
        let write = RecordWrite(collection: path.collection, action: .delete(key: path.key, mustExist: true))
        do {
            _ = try await writer.apply([write], to: try Self.owner(caller), by: caller)
            return true
        } catch RepositoryWriteError.recordNotFound {
            return false
        }
    }

    private static func owner(_ caller: Caller) throws(RepositoryWriteError) -> DID {
        guard let did = caller.did else { throw .notOwner }
        return did
    }

    package func dump(_ did: DID, head: [UInt8], tail: [UInt8], for client: String) async throws -> ByteStream {
        try await database.stream(for: client) { scope, sink in
            var writer = JSONWriter()
            writer.bytes.append(contentsOf: head + Array("{".utf8))
            var collection: Substring?
            if let repository = try RepositoryStore.repository(did, in: scope) {
                try RepositoryStore.forEachRecord(tree: repository.tree, in: scope) { row in
                    let parts = row.path.split(separator: "/", maxSplits: 1)
                    guard parts.count == 2 else { return true }
                    if parts[0] != collection {
                        writer.bytes.append(contentsOf: (collection == nil ? "" : "],").utf8)
                        writer.value(.string(String(parts[0])))
                        writer.bytes.append(contentsOf: ":[".utf8)
                        collection = parts[0]
                    } else {
                        writer.bytes.append(UInt8(ascii: ","))
                    }
                    writer.value([
                        "rkey": .string(String(parts[1])), "cid": .string(row.cid.string),
                        "record": try DataValue(cbor: row.value),
                    ])
                    try sink.write(writer.bytes)
                    writer.bytes.removeAll(keepingCapacity: true)
                    return true
                }
            }
            writer.bytes.append(contentsOf: Array((collection == nil ? "}" : "]}").utf8) + tail)
            try sink.write(writer.bytes)
        }
    }
}
