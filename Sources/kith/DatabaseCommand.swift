import App
import ArgumentParser

struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database",
        abstract: "Look at the database, bring its schema up to date, move it elsewhere.",
        discussion: """
              kith database status
              kith database migrate
              kith database copy --to postgresql://kith:secret@db.example.org/kith
              kith database copy --to sqlite:/srv/kith/kith.sqlite
            """,
        subcommands: [Status.self, Migrate.self, Copy.self])

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Engine, version, schema, size, newest event, and the rows of every table.")

        @OptionGroup var common: AdministrationOptions

        func run() async throws {
            try await DatabaseRun.run(common) { configuration, _ in try await DatabaseCopy.status(configuration) }
        }
    }

    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring the schema up to date.",
            discussion: """
                The server does so itself when it starts. On PostgreSQL this may be done while an older version serves. A \
                database that a newer version has used is refused.
                """)

        @OptionGroup var common: AdministrationOptions

        func run() async throws {
            try await DatabaseRun.run(common) { configuration, _ in
                try await DatabaseCopy.migrate(configuration, .machine(configuration))
            }
        }
    }

    struct Copy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Move the database to an empty one, of either engine, while it is served.",
            discussion: """
                Copies every table, follows what changes meanwhile, compares both sides, holds writes for a moment, copies the \
                last changes and has the server use the new database. The digests of all tables on both sides are printed. \
                Clients see answers 503 with Retry-After during the hold. The old database refuses writes, and to be served, \
                from then on.

                Until the switch, whatever goes wrong leaves the old database as it was; run the command again to begin anew. \
                Exit codes: 0 moved, 1 not moved.
                """)

        @OptionGroup var common: AdministrationOptions
        @Option(help: ArgumentHelp("The empty database: sqlite:PATH or postgresql://…", valueName: "address"))
        var to: String

        func run() async throws {
            try await DatabaseRun.run(common) { configuration, bar in
                try await DatabaseCopy.copy(configuration, .machine(configuration), to: to, report: bar.show)
            }
        }
    }
}

private enum DatabaseRun {
    static func run(
        _ common: AdministrationOptions, _ body: (Configuration, ProgressBar) async throws -> CommandOutput
    ) async throws {
        try await Outcome.run(for: common.telling) { bar in
            let output = try await body(try common.settings.sources().rememberedConfiguration(), bar)
            bar.clear()
            StandardOutput.write(common.json ? output.json : output.text)
        }
    }
}
