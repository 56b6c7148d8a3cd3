package import Storage

/// Why a command over the database can't be carried out.
package enum DatabaseCommandError: Error, Sendable, CustomStringConvertible {
    /// Not an address of a database.
    case address
    /// Source and target are one.
    case sameDatabase
    /// There is no such file.
    case absent(String)
    /// The database can't be opened; which one, and why.
    case unavailable(String, StorageError)
    /// A copy is under way in this server.
    case busy
    /// What the server, or the copier, says; in one sentence.
    case failed(String)
    /// The copy counts already, and yet its tables differ from the original's.
    case differs([String], CommandOutput)

    package var description: String {
        switch self {
        case .address: "the target must be of the form sqlite:PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
        case .sameDatabase: "the target is the database that is to be copied"
        case .absent(let name): "there is no database at \(name)"
        case .unavailable(let name, .unavailable(let detail)): "\(name) can't be opened: \(detail)"
        case .unavailable(let name, let error): "\(name) can't be opened: \(error)"
        case .busy: "a copy is under way already"
        case .failed(let sentence): sentence
        case .differs(let tables, _): "after the move these tables differ: \(tables.joined(separator: ", "))"
        }
    }

    /// One sentence for any error of a copy.
    static func sentence(_ error: any Error) -> String {
        switch error {
        case StorageError.unavailable(let detail): "a database can't be reached: \(detail)"
        case StorageError.statement(let detail): "a database refused: \(detail)"
        case let error as StorageError: "a database failed: \(error)"
        case is CancellationError: "the copy was broken off"
        default: "\(error)"
        }
    }
}
