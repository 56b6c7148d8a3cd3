import Foundation

/// An engine that stores are tested on.
package enum Engine: String, Sendable, CaseIterable, CustomStringConvertible {
    case sqlite
    case postgresql

    /// The environment variable that names a server where tests may make databases; `scripts/with-postgresql` sets it.
    package static let variable = "KITH_TEST_POSTGRESQL_URL"

    /// The server for tests, if there is one.
    package static let serverURL = ProcessInfo.processInfo.environment[variable].flatMap { $0.isEmpty ? nil : $0 }

    /// Every engine that is tested in this run. Tells when that isn't all.
    package static let all: [Engine] = {
        if serverURL != nil { return chosen == .postgresql ? [.postgresql] : [.sqlite, .postgresql] }
        let note =
            "note: nothing is tested on PostgreSQL in this run: \(variable) is not set (scripts/with-postgresql)\n"
        FileHandle.standardError.write(Data(note.utf8))
        return [.sqlite]
    }()

    /// PostgreSQL alone, where it can be tested.
    package static let servers: [Engine] = all.filter { $0 == .postgresql }

    /// Each engine with each that can be had, for what goes from one to the other. Once PostgreSQL is chosen, two of
    /// SQLite are left out.
    package static let pairs: [(from: Engine, to: Engine)] = {
        let engines = serverURL == nil ? [Engine.sqlite] : [.sqlite, .postgresql]
        return engines.flatMap { from in engines.map { (from, $0) } }.filter { from, to in
            chosen == .sqlite || from != .sqlite || to != .sqlite
        }
    }()

    /// The engine for tests of the rooms, which take one: `KITH_TEST_ENGINE` names it, else it is SQLite. Once
    /// PostgreSQL is chosen, tests of both leave SQLite out.
    package static let chosen: Engine =
        serverURL != nil && ProcessInfo.processInfo.environment["KITH_TEST_ENGINE"] == "postgresql"
        ? .postgresql : .sqlite

    package var description: String { rawValue }
}
