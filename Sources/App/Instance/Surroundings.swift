package import Base
package import Logging
package import Storage

/// What an instance takes from the machine it runs on, so that a test can give it something else.
package struct Surroundings: Sendable {
    package var clock: any WallClock
    package var randomness: any Randomness
    package var logger: Logger
    /// Takes lines meant for the person who started the server: its address, the set-up link.
    package var announce: @Sendable (String) -> Void
    /// What stands between an instance and its database: nothing, unless somebody wants to see what is asked of it.
    package var database: @Sendable (any Database) -> any Database = { $0 }

    package init(
        clock: any WallClock = SystemClock(), randomness: any Randomness = SystemRandomness(), logger: Logger,
        announce: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.clock = clock
        self.randomness = randomness
        self.logger = logger
        self.announce = announce
    }

    /// The machine itself, with the log as configured.
    package static func machine(_ configuration: Configuration) -> Surroundings {
        let clock = SystemClock()
        let logger = Logger(label: "kith") { _ in
            LineLogHandler(
                format: configuration.logFormat, level: Logger.Level(configuration.logLevel), clock: clock)
        }
        return Surroundings(clock: clock, logger: logger, announce: StandardOutput.write)
    }
}

/// The process's standard output, line by line.
package enum StandardOutput {
    /// Writes a line with its end at once, so that whoever reads a pipe sees it.
    @Sendable package static func write(_ line: String) { write(line, terminator: "\n") }

    /// Writes a text with another end, or with none.
    package static func write(_ text: String, terminator: String) {
        StandardError.write(text + terminator, to: 1)
    }
}
