import ATProtocol

/// Exit codes, those of `sysexits.h` where one fits.
package enum CommandExit {
    /// The exit code for a failure.
    package static func code(of error: any Error) -> Int32 {
        switch error {
        case is ConfigurationMistakes: 78
        case InstanceError.dataDirectory(.inUse): 75
        case InstanceError.dataDirectory(.unavailable): 73
        case AdministrationError.unreachable: 69
        case AdministrationError.refused(let status, _, _): status < 500 ? 65 : 70
        case AdministrationError.file: 66
        case AdministrationError.unsound: 1
        case is RepositoryError: 65
        default: 1
        }
    }
}
