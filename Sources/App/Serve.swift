import Logging

/// Runs one instance as this process.
package enum Serve {
    /// As below, with the configuration that the sources make.
    ///
    /// - Throws: `ConfigurationMistakes`, or `StartMistakes` where what could be read of it leads to more.
    package static func run(_ sources: ConfigurationSources) async throws {
        let configuration: Configuration
        do throws(ConfigurationMistakes) {
            configuration = try sources.configuration()
        } catch {
            guard let (rest, faulty) = error.rest else { throw error }
            let inspection = StartInspection(rest, .machine(rest), .whole)
            throw StartMistakes.joined([error] + (await inspection.lookAround(faulty: faulty)))
        }
        try await run(configuration, unknownVariables: sources.unknownVariables)
    }

    /// Opens the configured instance, serves until a signal, and closes it.
    ///
    /// - Throws: `InstanceError`, `StartMistakes`, or what ended a part of it.
    package static func run(_ configuration: Configuration, unknownVariables: [String]) async throws {
        let surroundings = Surroundings.machine(configuration)
        for name in unknownVariables {
            surroundings.logger.warning("an unknown variable is ignored", metadata: ["name": "\(name)"])
        }
        let instance = try await Instance.open(configuration, surroundings)
        if let former = instance.directory.servedName, former != configuration.name.authority {
            surroundings.logger.warning(
                "the public name has changed: identities made before still name the former one",
                metadata: ["former": "\(former)", "name": "\(configuration.name.authority)"])
        }
        instance.directory.remember(configuration.name, randomness: surroundings.randomness)
        do {
            try await instance.serve(until: .process) { _ in await instance.greet() }
        } catch {
            await instance.close()
            throw error
        }
        await instance.close()
        surroundings.logger.info("stopped")
    }
}
