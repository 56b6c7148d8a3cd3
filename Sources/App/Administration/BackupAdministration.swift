import ATProtocol
package import Base
import Foundation
package import Hosting

/// The operator's commands over backups that need no recovery key.
package enum BackupAdministration {
    /// Makes a recovery key and leaves what seals with the server. The key itself is told, and kept nowhere.
    ///
    /// - Parameter replaces: makes another where there is one: backups go on in another folder then.
    /// - Throws: `BackupError.keyExists`.
    package static func makeKey(
        _ configuration: Configuration, replaces: Bool, randomness: any Randomness = SystemRandomness()
    ) throws -> CommandOutput {
        let directory = DataDirectory(configuration.data)
        guard directory.holdsInstance else {
            throw InstanceError.dataDirectory(.noInstance(path: configuration.data))
        }
        guard replaces || !FileManager.default.fileExists(atPath: directory.backupKeyFile) else {
            throw BackupError.keyExists
        }
        let key = try RecoveryKey(randomness: randomness)
        try DataDirectory.replace(directory.backupKeyFile, by: key.sealing.line + "\n", randomness: randomness)
        return CommandOutput(
            ["recoveryKey": .string(key.text), "fingerprint": .string(key.sealing.fingerprint)],
            text: """
                \(key.text)

                This is the recovery key, shown this once and kept nowhere. Without it no backup can be read. Write it down \
                and keep it away from the server. Its fingerprint is \(key.sealing.fingerprint).
                """)
    }

    /// Makes a backup, by the server that holds the data or by one of its own.
    ///
    /// - Returns: what to print, and whether the bytes of all blobs were there.
    /// - Throws: `BackupError`, `AdministrationError`; there is no new backup then.
    package static func create(
        _ configuration: Configuration, in folder: String, report: @escaping ProgressReport
    ) async throws -> (output: CommandOutput, isWhole: Bool) {
        let path = BackupSource(folder).absolute
        // At the first backup a key is made and told together with it.
        let made =
            FileManager.default.fileExists(atPath: DataDirectory(configuration.data).backupKeyFile)
            ? nil : try makeKey(configuration, replaces: false)
        if let made { StandardError.write(made.text + "\n") }
        var backup: DataValue?
        try await AdministrationSession.run(configuration) { client in
            try await client.follow("social.kith.admin.createBackup", ["folder": .string(path)]) { line in
                if let phase = line["phase"]?.stringValue {
                    report(WorkProgress("saving \(phase)", line))
                } else if let message = line["message"]?.stringValue {
                    throw AdministrationError.refused(status: 400, error: "BackupFailed", message: message)
                } else {
                    backup = line["backup"]
                }
            }
        }
        guard let backup else {
            throw AdministrationError.unreachable("the server went away before the backup was whole")
        }
        var value = backup.mapValue ?? DataMap()
        if let made { value["recoveryKey"] = try DataValue(json: Array(made.json.utf8))["recoveryKey"] }
        let isWhole = backup["missingBlobs"]?.arrayValue?.isEmpty ?? false
        return (CommandOutput(.map(value), text: lines(backup, path)), isWhole)
    }

    private static func lines(_ backup: DataValue, _ path: String) -> String {
        func number(_ key: String) -> Int { Int(backup[key]?.integerValue ?? 0) }
        let missing = backup["missingBlobs"]?.arrayValue ?? []
        var rows = [
            ["backup", "\(number("number")) in \(path)"],
            ["database", "\(number("rows")) rows of \(number("tables")) tables, events to \(number("eventHead"))"],
            ["blobs", "\(number("blobs")), \(ByteCount(number("blobBytes")))"],
            ["written", "\(number("newPieces")) pieces, \(ByteCount(number("newBytes")))"],
            ["sealed to", backup["key"]?.stringValue ?? ""],
        ]
        rows += missing.map { ["missing blob", $0.stringValue ?? ""] }
        return TextTable(nil, rows).text
    }

    /// Tells of every backup in a place; with the recovery key also what it holds.
    package static func list(_ source: BackupSource, key: RecoveryKey?) async throws -> CommandOutput {
        try await source.open { place in
            let reader = try await BackupReader.open(place)
            do {
                let output = try await list(reader, key)
                await reader.close()
                return output
            } catch {
                await reader.close()
                throw error
            }
        }
    }

    private static func list(_ reader: BackupReader, _ key: RecoveryKey?) async throws -> CommandOutput {
        var values: [DataValue] = []
        var rows: [[String]] = []
        for outline in reader.outlines {
            var map: DataMap = [
                "number": .integer(Int64(outline.number)), "madeAt": .string(Datetime(outline.madeAt).string),
                "pieces": .integer(Int64(outline.pieceCount)), "bytes": .integer(outline.sizeBytes),
                "newPieces": .integer(Int64(outline.newPieceCount)), "newBytes": .integer(outline.newSizeBytes),
                "key": .string(outline.keyFingerprint),
            ]
            var row = [
                "\(outline.number)", String(Datetime(outline.madeAt).string.prefix(19)),
                "\(ByteCount(Int(outline.sizeBytes)))", "\(ByteCount(Int(outline.newSizeBytes)))",
                outline.keyFingerprint,
            ]
            if let key {
                let manifest = try await reader.manifest(outline.number, key)
                map["instance"] = .string(manifest.instance.name)
                map["engine"] = .string(manifest.engine)
                map["eventHead"] = .integer(manifest.eventHead)
                map["blobs"] = .integer(Int64(manifest.blobCount))
                row += [manifest.instance.name, manifest.engine, "\(manifest.eventHead)"]
            }
            values.append(.map(map))
            rows.append(row)
        }
        let heads =
            ["BACKUP", "MADE AT", "SIZE", "ADDED", "SEALED TO"]
            + (key == nil ? [] : ["INSTANCE", "ENGINE", "EVENTS TO"])
        return CommandOutput(.array(values), text: TextTable(heads, rows).text)
    }

    /// Removes all backups of a place but the newest ones, and what no other needs.
    ///
    /// - Parameters:
    ///   - count: how many stay.
    ///   - recoveryKey: opens what stays before anything goes; nil takes the server's own key, which can't.
    /// - Throws: `BackupError`; nothing was removed if it is `.damaged`.
    package static func prune(
        _ source: BackupSource, _ configuration: Configuration, keeping count: Int, recoveryKey: RecoveryKey?,
        report: @escaping ProgressReport
    ) async throws -> CommandOutput {
        let key = try recoveryKey?.sealing ?? DataDirectory(configuration.data).sealingKey()
        let done = try await source.open { place in
            try await BackupPruning(place, key: key, recoveryKey: recoveryKey).run(keeping: count) {
                report(WorkProgress("removing pieces", $0))
            }
        }
        let value: DataValue = [
            "kept": .array(done.kept.map { .integer(Int64($0)) }),
            "removed": .array(done.removed.map { .integer(Int64($0)) }),
            "removedPieces": .integer(Int64(done.pieceCount)), "removedBytes": .integer(done.sizeBytes),
        ]
        let rows = [
            ["kept", done.kept.map(String.init).joined(separator: ", ")],
            ["removed", done.removed.isEmpty ? "none" : done.removed.map(String.init).joined(separator: ", ")],
            ["freed", "\(done.pieceCount) pieces, \(ByteCount(Int(done.sizeBytes)))"],
        ]
        return CommandOutput(value, text: TextTable(nil, rows).text)
    }
}

extension WorkProgress {
    /// From a line of `createBackup`.
    fileprivate init(_ action: String, _ line: DataValue) {
        self.init(
            action, done: Int(line["done"]?.integerValue ?? 0), total: line["total"]?.integerValue.map { Int($0) },
            unit: .bytes)
    }

    /// From the work itself.
    init(_ action: String, _ progress: BackupProgress) {
        self.init(
            action, done: Int(progress.done), total: progress.total.map { Int($0) },
            unit: progress.phase == .repositories ? .items("repositories") : .bytes)
    }
}
