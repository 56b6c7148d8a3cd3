import Base
import Foundation
import Storage

extension DatabaseLocation {
    /// Opens the database as the configuration wants it.
    ///
    /// - Parameter replica: whether the configured replica belongs to it.
    func open(
        _ configuration: Configuration, _ randomness: any Randomness, replica: Bool = false
    ) throws(StorageError) -> any Database {
        switch self {
        case .sqlite(let path): return try SQLiteDatabase(path: path, options: SQLiteOptions())
        case .postgreSQL(let url):
            var options = PostgreSQLOptions()
            options.readersMax = configuration.databaseReadersMax
            if replica, case .postgreSQL(let address) = configuration.databaseReplica {
                options.replicaURL = address.value
            }
            return try PostgreSQLDatabase(url: url.value, options: options, randomness: randomness)
        }
    }

    /// The address without a password, for people.
    var publicName: String {
        guard case .postgreSQL(let url) = self else { return description }
        guard var parts = URLComponents(string: url.value) else { return "a PostgreSQL database" }
        parts.password = nil
        parts.queryItems = parts.queryItems?.filter { !$0.name.lowercased().contains("password") }
        if parts.queryItems?.isEmpty == true { parts.queryItems = nil }
        return parts.string ?? "a PostgreSQL database"
    }

    /// Whether a file of the embedded engine is there; a server answers for itself.
    var isThere: Bool {
        guard case .sqlite(let path) = self else { return true }
        return FileManager.default.fileExists(atPath: path)
    }

    /// Whether opening it makes nothing: it is on a server, its file is there, or can't be made, which opening it tells.
    ///
    /// - Parameter folder: the data folder, about which somebody else tells.
    func isLookedAtUnmade(beside folder: String) -> Bool {
        guard case .sqlite(let path) = self, !isThere else { return true }
        let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
        return !path.hasPrefix(folder + "/") && access(parent, W_OK | X_OK) != 0
    }

    /// Reads an address as the configuration key does.
    init(parsing text: String) throws(DatabaseCommandError) {
        do throws(ValueMistake) {
            self = try ValueParser.database.parse(text)
        } catch {
            throw .address
        }
    }
}
