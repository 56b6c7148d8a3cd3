import ATProtocol
import Base
import Contracts
import Foundation
import Hosting
import Storage
import Web

/// `social.kith.admin.createBackup`: a backup of the running instance, made by the process that is asked.
struct BackupRoutes: Sendable {
    let creation: BackupCreation
    let directory: DataDirectory
    let instance: BackedUpInstance
    let credentials: S3Credentials?

    func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure("social.kith.admin.createBackup", access: .operator, handler: create)
    }

    @Sendable private func create(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let source = BackupSource(call.input["folder"]?.stringValue ?? "", credentials: credentials)
        guard source.isAbsolute else {
            throw BackupRefusal(message: "folder: an absolute path or an s3: location is needed.")
        }
        let key = try directory.sealingKey()
        let secrets = try directory.secretFiles()
        let (creation, instance) = (creation, instance)
        return .stream(
            ByteStream { take in
                try await Self.tell(take) { progress in
                    try await source.open { place in
                        try await creation.run(
                            in: place, key: key, instance: instance, secrets: secrets, progress: progress)
                    }
                }
            }, contentType: "application/jsonl")
    }

    /// Runs `body` and sends its progress, then what came of it, as lines. Whoever goes away ends it.
    private static func tell(
        _ take: (consuming [UInt8]) async throws -> Void,
        _ body:
            @escaping @Sendable (@escaping @Sendable (BackupProgress) -> Void) async throws -> BackupCreation.Summary
    ) async throws {
        let (lines, line) = AsyncStream<DataValue>.makeStream(bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: DataValue.self) { group in
            group.addTask {
                defer { line.finish() }
                do {
                    return ["backup": try await body { line.yield($0.value) }.value]
                } catch let error as CancellationError {
                    throw error
                } catch {
                    return ["error": "BackupFailed", "message": .string("\(error)")]
                }
            }
            defer { group.cancelAll() }
            for await value in lines { try await take(value.json() + [UInt8(ascii: "\n")]) }
            if let end = try await group.next() { try await take(end.json() + [UInt8(ascii: "\n")]) }
        }
    }
}

/// The request can't be carried out.
private struct BackupRefusal: WireConvertible {
    let message: String

    var wire: WireFailure { WireFailure(status: 400, error: "InvalidRequest", message: message) }
}

extension BackupProgress {
    fileprivate var value: DataValue {
        var map: DataMap = ["phase": .string(phase.rawValue), "done": .integer(done)]
        map["total"] = total.map { .integer($0) }
        return .map(map)
    }
}

extension BackupCreation.Summary {
    /// As `createBackup` tells it.
    var value: DataValue {
        [
            "number": .integer(Int64(manifest.number)), "madeAt": .string(Datetime(manifest.madeAt).string),
            "eventHead": .integer(manifest.eventHead), "engine": .string(manifest.engine),
            "tables": .integer(Int64(manifest.tables.count)),
            "rows": .integer(manifest.tables.reduce(0) { $0 + $1.summary.rowCount }),
            "blobs": .integer(Int64(manifest.blobCount)), "blobBytes": .integer(manifest.blobSizeBytes),
            "missingBlobs": .array(manifest.missingBlobs.map { .string($0) }),
            "newPieces": .integer(Int64(newPieceCount)), "newBytes": .integer(newSizeBytes),
            "key": .string(keyFingerprint),
        ]
    }
}

extension DataDirectory {
    /// Bytes of one file of secrets.
    private static let secretSizeBytesMax = 1 << 20

    /// What this instance seals its backups with.
    /// - Throws: `BackupError.noKey`, `.malformedKey`.
    func sealingKey() throws(BackupError) -> SealingKey {
        guard let data = FileManager.default.contents(atPath: backupKeyFile) else { throw .noKey }
        return try SealingKey(parsing: String(decoding: data, as: UTF8.self))
    }

    /// The secrets that have to come along: all but the running server's ticket.
    func secretFiles() throws(BackupError) -> [SecretFile] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: secrets)) ?? []
        var files: [SecretFile] = []
        for name in names.sorted() where name != "operator" && !name.hasPrefix("operator.") && !name.hasPrefix(".") {
            guard let data = FileManager.default.contents(atPath: secrets + "/" + name),
                data.count <= Self.secretSizeBytesMax
            else { throw .file(path: secrets + "/" + name, reason: "can't be read") }
            files.append(SecretFile(name: name, bytes: [UInt8](data)))
        }
        return files
    }

    /// Lays secrets down, mode 0600.
    func write(_ files: [SecretFile], randomness: any Randomness) throws {
        for file in files {
            guard !file.name.isEmpty, !file.name.contains("/"), !file.name.hasPrefix(".") else {
                throw BackupError.damaged(.inconsistent("a secret's name"))
            }
            try Self.replace(
                secrets + "/" + file.name, by: String(decoding: file.bytes, as: UTF8.self), randomness: randomness)
        }
    }
}
