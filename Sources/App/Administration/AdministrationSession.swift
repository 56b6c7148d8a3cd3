/// A command's way to the instance in a data directory: the server that holds it, or one of its own for a moment.
///
/// One way for both: a command speaks XRPC as the operator, so that every rule and every line of the audit holds for it,
/// too. See docs/decisions/0006-commands-are-clients.md.
package enum AdministrationSession {
    /// What becomes of a data directory in which no instance lives.
    package enum EmptyFolder: Sendable, Hashable {
        /// Refused, and nothing is made in it: a command makes no server by a slip of the keyboard.
        case refused
        /// An instance is made in it.
        case filled
    }

    /// Runs `body` with a client for the instance of the configuration.
    ///
    /// - Throws: `InstanceError`, `AdministrationError`, what `body` throws.
    package static func run<Result: Sendable>(
        _ configuration: Configuration, emptyFolder: EmptyFolder = .refused,
        _ body: (AdministrationClient) async throws -> Result
    ) async throws -> Result {
        guard emptyFolder == .filled || DataDirectory(configuration.data).holdsInstance else {
            throw InstanceError.dataDirectory(.noInstance(path: configuration.data))
        }
        var quiet = configuration
        quiet.logLevel = .error
        quiet.host = "127.0.0.1"
        quiet.port = 0
        let surroundings = Surroundings.machine(quiet)
        let instance: Instance
        do {
            instance = try await Instance.open(quiet, surroundings)
        } catch InstanceError.dataDirectory(.inUse(let path, let processID)) {
            guard let ticket = OperatorTicket(of: DataDirectory(path)) else {
                throw InstanceError.dataDirectory(.inUse(path: path, processID: processID))
            }
            return try await body(AdministrationClient(ticket))
        }
        return try await run(on: instance, body)
    }

    /// Serves `instance` on a free port of this machine for as long as `body` runs.
    private static func run<Result: Sendable>(
        on instance: Instance, _ body: (AdministrationClient) async throws -> Result
    ) async throws -> Result {
        do {
            let result = try await withServing(instance) { port in
                let ticket = OperatorTicket(address: "http://127.0.0.1:\(port)", password: instance.localPassword)
                return try await body(AdministrationClient(ticket))
            }
            await instance.close()
            return result
        } catch {
            await instance.close()
            throw error
        }
    }

    /// Runs `body` while the instance serves; then stops it. The first failure of either is thrown.
    package static func withServing<Result: Sendable>(
        _ instance: Instance, _ body: (_ port: Int) async throws -> Result
    ) async throws -> Result {
        let (openings, opening) = AsyncStream<ServingInstance>.makeStream(bufferingPolicy: .bufferingNewest(1))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { opening.finish() }
                try await instance.serve(until: .none) { opening.yield($0) }
            }
            for await serving in openings {
                do {
                    let result = try await body(serving.port)
                    await serving.stop()
                    try await group.waitForAll()
                    return result
                } catch {
                    await serving.stop()
                    try? await group.waitForAll()
                    throw error
                }
            }
            // It ended before its port was open: the reason is in the group.
            try await group.waitForAll()
            throw CancellationError()
        }
    }
}
