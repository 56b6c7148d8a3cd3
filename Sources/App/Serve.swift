import Logging

/// Runs one instance as this process.
package enum Serve {
    /// Opens the configured instance, serves until a signal, and closes it.
    ///
    /// - Throws: `InstanceError`, or what ended a part of it.
    package static func run(_ configuration: Configuration, unknownVariables: [String]) async throws {
        let surroundings = Surroundings.machine(configuration)
        for name in unknownVariables {
            surroundings.logger.warning("an unknown variable is ignored", metadata: ["name": "\(name)"])
        }
        let instance = try await Instance.open(configuration, surroundings)
        do {
            try await instance.serve(until: .process)
        } catch {
            await instance.close()
            throw error
        }
        await instance.close()
        surroundings.logger.info("stopped")
    }
}
