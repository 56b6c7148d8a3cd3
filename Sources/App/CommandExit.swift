import ATProtocol
import Foundation
import Hosting

/// Exit codes, those of `sysexits.h` where one fits.
package enum CommandExit {
    /// Wrong usage, as the parser of the command line has it.
    package static let usage: Int32 = 64

    /// The exit code for a failure.
    package static func code(of error: any Error) -> Int32 { CommandFailure(error).code }
}

/// How a failed command ends: its exit code, and what it says to programs and people.
package struct CommandFailure: Sendable {
    package let code: Int32
    /// One word for programs; of a refusal the one the server gave.
    package let name: String
    /// A sentence for people.
    package let message: String
    /// What was found, where that is more than a sentence.
    package let report: CommandOutput?

    package init(_ error: any Error) {
        (code, name) = Self.kind(of: error)
        message = Self.message(of: error)
        report =
            switch error {
            case AdministrationError.unsound(let report), DatabaseCommandError.differs(_, let report): report
            case let error as AttestationFileError: error.report
            default: nil
            }
    }

    /// Wrong usage that only a closer look shows.
    package init(usage message: String) {
        (code, name, report) = (CommandExit.usage, "Usage", nil)
        self.message = message
    }

    /// One line of JSON.
    package var json: String {
        var map: DataMap = ["error": .string(name), "message": .string(message)]
        map["report"] = report?.value
        return String(decoding: DataValue.map(map).json(), as: UTF8.self)
    }

    /// The one that all have; or that of a configuration that has to be changed, if there is such a mistake.
    private static func code(of all: StartMistakes) -> Int32 {
        let codes = Set(all.mistakes.map { kind(of: $0).0 })
        return codes.count == 1 ? codes.first ?? 1 : codes.contains(78) ? 78 : 1
    }

    private static func kind(of error: any Error) -> (Int32, String) {
        switch error {
        case is ConfigurationMistakes: (78, "InvalidConfiguration")
        case InstanceError.dataDirectory(.inUse): (75, "DataInUse")
        case InstanceError.dataDirectory(.unavailable): (73, "DataUnavailable")
        case InstanceError.dataDirectory(.noInstance): (66, "NoInstance")
        case InstanceError.dataDirectory(.unfinished): (78, "RestoreUnfinished")
        case let error as InstanceError where error.isLasting: (78, error.word)
        case let all as StartMistakes: (code(of: all), "CannotStart")
        case DatabaseCommandError.address: (78, "InvalidAddress")
        case DatabaseCommandError.absent: (66, "NoDatabase")
        case is DatabaseCommandError: (1, "NotMoved")
        case AdministrationError.unreachable: (69, "Unreachable")
        case AdministrationError.refused(let status, let name, _): (status < 500 ? 65 : 70, name)
        case let error as AttestationFileError: error.kind
        case AdministrationError.file: (66, "FileUnusable")
        case AdministrationError.unsound: (65, "Unsound")
        case is RepositoryError: (65, "InvalidRepository")
        case BackupError.file: (66, "FileUnusable")
        case BackupError.inUse: (75, "BackupInUse")
        case BackupError.tooBusy: (75, "DatabaseBusy")
        case BackupError.place: (64, "BackupPlace")
        case BackupError.noKey, BackupError.keyExists: (78, "RecoveryKey")
        case BackupError.damaged, BackupError.mismatch: (65, "BackupDamaged")
        case is BackupError: (65, "BackupUnusable")
        default: (1, "Failed")
        }
    }

    /// What Foundation throws describes itself for programmers.
    private static func message(of error: any Error) -> String {
        guard error is CocoaError || error is POSIXError || type(of: error) == NSError.self else { return "\(error)" }
        return (error as NSError).localizedDescription
    }
}
