import ATProtocol
package import Base
import Foundation
package import Hosting
import Logging
import Publishing
import Storage

/// Which backup of a place is meant, and what opens it.
package struct BackupChoice: Sendable {
    package var source: BackupSource
    /// Nil is the newest.
    package var number: Int?
    package var key: RecoveryKey?

    package init(_ source: BackupSource, number: Int? = nil, key: RecoveryKey? = nil) {
        self.source = source
        self.number = number
        self.key = key
    }
}

/// Says whether a backup can be trusted: by looking at every byte, and with the recovery key by restoring it.
package struct BackupVerification: Sendable {
    private let choice: BackupChoice
    private let keyEncryptionSecret: Secret?
    private let report: ProgressReport
    private let randomness: any Randomness

    /// - Parameter keyEncryptionSecret: what sealed the signing keys, where that isn't a file of the backup.
    package init(
        _ choice: BackupChoice, keyEncryptionSecret: Secret? = nil,
        randomness: any Randomness = SystemRandomness(), report: @escaping ProgressReport
    ) {
        self.choice = choice
        self.keyEncryptionSecret = keyEncryptionSecret
        self.randomness = randomness
        self.report = report
    }

    /// What was found, and how a command prints it.
    package struct Verdict: Sendable {
        package var faults: [BackupFault]
        package var output: CommandOutput

        package var isSound: Bool { faults.isEmpty }
    }

    /// What restoring into a scratch folder showed.
    private struct Trial: Sendable {
        var manifest: BackupManifest
        var repositoryCount = 0
        var recordCount = 0
        var unverifiable: [DID] = []
        var blobCount = 0
    }

    /// Checks everything that can be checked with what is there.
    ///
    /// - Parameter newest: the number that the newest backup has to have.
    package func run(newest: Int? = nil) async throws -> Verdict {
        try await choice.source.open { try await run($0, newest: newest) }
    }

    private func run(_ place: BackupPlace, newest: Int?) async throws -> Verdict {
        let reader = try await BackupReader.open(place)
        do {
            var found = try await BackupInspection(reader).run(key: choice.key, newest: newest) { [report] in
                report(WorkProgress("checking pieces", $0))
            }
            var trial: Trial?
            // What is damaged outside can't be restored; what is wrong is told already.
            if let key = choice.key, found.faults.isEmpty {
                do {
                    let (done, faults) = try await restore(reader, key)
                    trial = done
                    found.faults += faults
                } catch BackupError.damaged(let fault) {
                    found.faults.append(fault)
                } catch BackupError.mismatch(let table) {
                    found.faults.append(.table(table))
                }
            }
            await reader.close()
            return Verdict(faults: found.faults, output: output(found, trial))
        } catch {
            await reader.close()
            throw error
        }
    }

    // MARK: The trial

    private func restore(_ reader: BackupReader, _ key: RecoveryKey) async throws -> (Trial, [BackupFault]) {
        let scratch = FileManager.default.temporaryDirectory.path + "/kith-verify-" + Hex.encode(randomness.bytes(8))
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let manifest = try await reader.manifest(choice.number, key)
        let configuration = try Self.scratchConfiguration(scratch, manifest, keyEncryptionSecret)
        let directory = DataDirectory(scratch)
        try directory.prepare()
        try directory.write(manifest.secrets, randomness: randomness)
        let restoration = BackupRestoration(reader, manifest, key) { [report] in
            report(WorkProgress("restoring the \($0.phase.rawValue)", $0))
        }
        let surroundings = Surroundings(logger: Logger(label: "kith") { _ in SwiftLogNoOpLogHandler() })
        let database = try InstanceStore.database(configuration, surroundings)
        do {
            try await restoration.loadTables(
                into: database, migrations: InstanceRooms.migrations, clock: surroundings.clock)
            await database.close()
        } catch {
            await database.close()
            throw error
        }
        return try await check(try await Instance.open(configuration, surroundings), manifest, restoration)
    }

    private func check(
        _ instance: Instance, _ manifest: BackupManifest, _ restoration: BackupRestoration
    ) async throws -> (Trial, [BackupFault]) {
        var trial = Trial(manifest: manifest)
        var faults: [BackupFault] = []
        do {
            try await instance.rooms.repositories.rebuild.checkAll { did, found in
                trial.repositoryCount += 1
                trial.recordCount += found?.recordCount ?? 0
                if found == nil { trial.unverifiable.append(did) }
                if found?.isSound == false { faults.append(.repository(did.string)) }
                report(WorkProgress("checking", done: trial.repositoryCount, unit: .items("repositories")))
            }
            let blobs = try await restoration.checkBlobs(database: instance.store.database, holdings: BlobLedger())
            trial.blobCount = blobs.count
            faults += blobs.faults
            await instance.close()
        } catch {
            await instance.close()
            throw error
        }
        return (trial, faults)
    }

    /// An instance that nobody reaches and that reaches nobody.
    private static func scratchConfiguration(
        _ path: String, _ manifest: BackupManifest, _ secret: Secret?
    ) throws -> Configuration {
        var configuration = try Configuration(layers: [
            ConfigurationLayer(flags: ["data": path, "hostname": manifest.instance.name])
        ])
        configuration.keyEncryptionSecret = secret
        return configuration
    }

    // MARK: Telling

    private func output(_ found: BackupInspection.Report, _ trial: Trial?) -> CommandOutput {
        var map: DataMap = [
            "sound": .boolean(found.faults.isEmpty), "pieces": .integer(Int64(found.pieceCount)),
            "bytes": .integer(found.sizeBytes), "faults": .array(found.faults.map { .string($0.description) }),
            "restored": .boolean(trial != nil),
        ]
        var rows = [["pieces", "\(found.pieceCount), \(ByteCount(Int(found.sizeBytes)))"]]
        rows.append([
            "looked at", choice.key == nil ? "outside only: without the recovery key nothing is opened" : "every seal",
        ])
        if let trial {
            map["number"] = .integer(Int64(trial.manifest.number))
            map["repositories"] = .integer(Int64(trial.repositoryCount))
            map["records"] = .integer(Int64(trial.recordCount))
            map["blobs"] = .integer(Int64(trial.blobCount))
            map["missingBlobs"] = .array(trial.manifest.missingBlobs.map { .string($0) })
            map["withoutKey"] = .array(trial.unverifiable.map { .string($0.string) })
            rows += [
                ["restored", "backup \(trial.manifest.number) of \(trial.manifest.instance.name), for a trial"],
                ["tables", "\(trial.manifest.tables.count), each as it was saved"],
                ["repositories", "\(trial.repositoryCount) with \(trial.recordCount) records: tree, head, signature"],
                ["blobs", "\(trial.blobCount), each with its hash"],
            ]
            rows += trial.manifest.missingBlobs.map { ["missing since", $0] }
            rows += trial.unverifiable.map { ["without a key", $0.string] }
        }
        rows += found.faults.map { ["FAULT", $0.description] }
        rows.append(["verdict", found.faults.isEmpty ? "sound" : "damaged"])
        return CommandOutput(.map(map), text: TextTable(nil, rows).text)
    }
}
