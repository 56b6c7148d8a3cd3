import ATProtocol
import Base
import Hosting
import Identity
import Publishing
import Storage

/// Makes an instance whose database is older than what others have seen of it agree with them again.
package enum InstanceRenewal {
    /// For an instance that was brought back by other means than `BackupRestoring`, and doesn't run.
    ///
    /// - Parameter skipping: how many event numbers to leave out; nil is a number that is surely enough, counted from the
    ///   newest event that is kept.
    package static func run(
        _ configuration: Configuration, skipping: Int64?, report: @escaping ProgressReport
    ) async throws -> CommandOutput {
        guard DataDirectory(configuration.data).holdsInstance else {
            throw InstanceError.dataDirectory(.noInstance(path: configuration.data))
        }
        var quiet = configuration
        quiet.logLevel = .error
        let surroundings = Surroundings.machine(quiet)
        let head = try await settle(quiet, surroundings, skipping: skipping)
        let renewal = try await signAnew(quiet, surroundings, .whole, report: report)
        let rows =
            [
                ["events", "new ones come after \(head)"],
                ["accounts", "\(renewal.accountCount); \(renewal.renewedCount) repositories signed anew"],
            ] + renewal.withoutKey.map { ["without a key", $0.string] }
        return CommandOutput(
            [
                "continuesAfter": .integer(head), "accounts": .integer(Int64(renewal.accountCount)),
                "renewed": .integer(Int64(renewal.renewedCount)),
                "withoutKey": .array(renewal.withoutKey.map { .string($0.string) }),
            ], text: TextTable(nil, rows).text)
    }

    private static func settle(
        _ configuration: Configuration, _ surroundings: Surroundings, skipping: Int64?
    ) async throws -> Int64 {
        // Brings the schema up to date first, and refuses what isn't whole.
        let instance = try await Instance.open(configuration, surroundings)
        do {
            let database = instance.store.database
            let now = surroundings.clock.now()
            let newest = try await database.read { try EventLog.newestTime(in: $0) } ?? now
            let head = try await BackupRestoration.settle(
                database, holdings: BlobLedger(), since: newest, now: now, skipping: skipping)
            await instance.close()
            return head
        } catch {
            await instance.close()
            throw error
        }
    }

    /// The instance itself opens what was laid down, signs every head anew and writes the events that say so.
    static func signAnew(
        _ configuration: Configuration, _ surroundings: Surroundings, _ stage: Instance.Stage,
        report: @escaping ProgressReport
    ) async throws -> AccountService.Renewal {
        let instance = try await Instance.open(configuration, surroundings, stage)
        do {
            let renewal = try await instance.rooms.identity.accounts.renewAll { count in
                report(WorkProgress("signing anew", done: count, unit: .items("accounts")))
            }
            await instance.close()
            return renewal
        } catch {
            await instance.close()
            throw error
        }
    }
}
