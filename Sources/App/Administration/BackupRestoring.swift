import ATProtocol
import Base
import Foundation
package import Hosting
import Identity
import Publishing
import Storage

/// Makes an instance of a backup, in an empty place.
package struct BackupRestoring: Sendable {
    private let choice: BackupChoice
    private let key: RecoveryKey
    private let report: ProgressReport

    package init(_ choice: BackupChoice, key: RecoveryKey, report: @escaping ProgressReport) {
        self.choice = choice
        self.key = key
        self.report = report
    }

    /// Restores, and tells the network anew where everybody stands once the server runs.
    ///
    /// - Parameters:
    ///   - makeConfiguration: the configuration of the new instance, given the public name of the one that was backed up.
    ///   - skipping: how many event numbers to leave out; nil is the safe number (docs/decisions/0010).
    /// - Throws: `BackupError.notEmpty`; what is there after a failure can't be served and is to be removed.
    package func run(
        skipping: Int64?, _ makeConfiguration: (_ name: String) throws -> Configuration
    ) async throws -> CommandOutput {
        try await choice.source.open { try await run($0, skipping: skipping, makeConfiguration) }
    }

    private func run(
        _ place: BackupPlace, skipping: Int64?, _ makeConfiguration: (_ name: String) throws -> Configuration
    ) async throws -> CommandOutput {
        let reader = try await BackupReader.open(place)
        do {
            let manifest = try await reader.manifest(choice.number, key)
            var configuration = try makeConfiguration(manifest.instance.name)
            configuration.logLevel = .error
            let output = try await restore(reader, manifest, configuration, skipping: skipping)
            await reader.close()
            return output
        } catch {
            await reader.close()
            throw error
        }
    }

    private func restore(
        _ reader: BackupReader, _ manifest: BackupManifest, _ configuration: Configuration, skipping: Int64?
    ) async throws -> CommandOutput {
        let directory = DataDirectory(configuration.data)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        guard names.isEmpty else { throw BackupError.notEmpty(directory.path) }
        let surroundings = Surroundings.machine(configuration)
        try await confirmEmpty(configuration, surroundings)
        try directory.prepare()
        try DataDirectory.replace(
            directory.restoreMark, by: "backup \(manifest.number)\n", randomness: surroundings.randomness)
        let laid = try await lay(reader, manifest, directory, configuration, surroundings, skipping: skipping)
        let renewal = try await InstanceRenewal.signAnew(configuration, surroundings, .restored, report: report)
        directory.remember(configuration.name, randomness: surroundings.randomness)
        unlink(directory.restoreMark)
        return Self.output(manifest, configuration, laid, renewal)
    }

    /// Looks at a database that is there already before anything is made: a restore that is refused leaves all as it was.
    private func confirmEmpty(_ configuration: Configuration, _ surroundings: Surroundings) async throws {
        guard configuration.database.isLookedAtUnmade(beside: configuration.data) else { return }
        let database = try InstanceStore.database(configuration, surroundings)
        do {
            try await BackupRestoration.confirmEmpty(database)
            await database.close()
        } catch {
            await database.close()
            throw error
        }
    }

    private struct Laid: Sendable {
        var blobCount: Int
        var eventHead: Int64
    }

    /// Database, secrets and blobs.
    private func lay(
        _ reader: BackupReader, _ manifest: BackupManifest, _ directory: DataDirectory,
        _ configuration: Configuration, _ surroundings: Surroundings, skipping: Int64?
    ) async throws -> Laid {
        let lock = try InstanceLock(directory)
        defer { withExtendedLifetime(lock) {} }
        let restoration = BackupRestoration(reader, manifest, key) { [report] in
            report(WorkProgress("restoring the \($0.phase.rawValue)", $0))
        }
        let database = try InstanceStore.database(configuration, surroundings)
        do {
            try await restoration.loadTables(
                into: database, migrations: InstanceRooms.migrations, clock: surroundings.clock)
            try directory.write(manifest.secrets, randomness: surroundings.randomness)
            let blobs = try await InstanceStore.blobs(configuration, directory, surroundings)
            let count = try await restoration.loadBlobs(into: blobs, database: database, holdings: BlobLedger())
            await blobs.close()
            let head = try await restoration.settle(
                database, holdings: BlobLedger(), now: surroundings.clock.now(), skipping: skipping)
            await database.close()
            return Laid(blobCount: count, eventHead: head)
        } catch {
            await database.close()
            throw error
        }
    }

    private static func output(
        _ manifest: BackupManifest, _ configuration: Configuration, _ laid: Laid, _ renewal: AccountService.Renewal
    ) -> CommandOutput {
        let value: DataValue = [
            "number": .integer(Int64(manifest.number)), "madeAt": .string(Datetime(manifest.madeAt).string),
            "data": .string(configuration.data), "database": .string("\(configuration.database)"),
            "name": .string(configuration.name.authority), "blobs": .integer(Int64(laid.blobCount)),
            "eventHead": .integer(manifest.eventHead), "continuesAfter": .integer(laid.eventHead),
            "accounts": .integer(Int64(renewal.accountCount)),
            "renewed": .integer(Int64(renewal.renewedCount)),
            "withoutKey": .array(renewal.withoutKey.map { .string($0.string) }),
        ]
        var rows = [
            ["restored", "backup \(manifest.number) of \(manifest.instance.name)"],
            ["made at", Datetime(manifest.madeAt).string],
            ["into", "\(configuration.data), \(configuration.database)"], ["blobs", "\(laid.blobCount)"],
            ["events", "\(manifest.eventHead) in the backup; new ones come after \(laid.eventHead)"],
            ["accounts", "\(renewal.accountCount); \(renewal.renewedCount) repositories signed anew"],
        ]
        rows += renewal.withoutKey.map { ["without a key", $0.string] }
        return CommandOutput(value, text: TextTable(nil, rows).text)
    }
}
