import Base
import Contracts
import Identity
import Logging
import ServiceLifecycle
import UnixSignals
import Web

extension Instance {
    /// How a serving instance is told to stop.
    package enum StopSignals: Sendable {
        /// SIGTERM and SIGINT, for the one instance of a process.
        case process
        /// None: cancel the task, or call `stop` of `ServingInstance`.
        case none
    }

    /// Serves until it is told to stop; then finishes what was accepted, within the configured time.
    ///
    /// - Parameter onListening: called once with the port.
    /// - Throws: when it can't listen, or when a part of it ends by itself.
    package func serve(
        until signals: StopSignals, onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) async throws {
        let server = HTTPServer(
            responder: try responder(), configuration: serverConfiguration, metrics: metrics,
            clock: surroundings.clock, randomness: surroundings.randomness, logger: surroundings.logger
        ) { [self] port in
            await listening(on: port)
            await onListening(port)
        }
        var services = rooms.services(surroundings).map {
            ServiceGroupConfiguration.ServiceConfiguration(service: $0, serviceName: $0.name)
        }
        services.append(.init(service: server, serviceName: "http"))
        var group = ServiceGroupConfiguration(services: services, logger: surroundings.logger)
        if signals == .process { group.gracefulShutdownSignals = [.sigterm, .sigint] }
        group.maximumGracefulShutdownDuration = configuration.shutdownTimeout + .seconds(2)
        defer { OperatorTicket.remove(from: directory) }
        try await ServiceGroup(configuration: group).run()
    }

    private func responder() throws -> XRPCResponder<Caller, AccessRule> {
        var settings = ResponderSettings(metrics: metrics, logger: surroundings.logger)
        settings.limits = limits
        settings.rateLimiter = configuration.limitsRates ? RateLimiter(clock: surroundings.clock) : nil
        settings.isStrictTransport = !configuration.name.isLocal
        do throws(RouterMistake) {
            return try XRPCResponder(rooms.router, catalog: rooms.catalog, settings: settings)
        } catch {
            throw InstanceError.routes(error)
        }
    }

    private var serverConfiguration: HTTPServer.Configuration {
        var server = HTTPServer.Configuration()
        server.host = configuration.host
        server.port = configuration.port
        server.limits = limits
        return server
    }

    private var limits: ServerLimits {
        var limits = ServerLimits()
        limits.blobByteCountMax = configuration.blobSizeBytesMax
        limits.archiveByteCountMax = configuration.importSizeBytesMax
        limits.connectionCountMax = configuration.connectionsMax
        limits.shutdownTimeout = configuration.shutdownTimeout
        return limits
    }

    /// The port is open: leaves the ticket for commands and tells whoever started the server.
    private func listening(on port: Int) async {
        let logger = surroundings.logger
        do throws(DataDirectoryError) {
            try OperatorTicket(address: Self.address(of: configuration.host, port), password: localPassword)
                .write(to: directory, randomness: surroundings.randomness)
        } catch {
            logger.warning("commands can't reach this server", metadata: ["error": "\(error)"])
        }
        logger.info(
            "listening",
            metadata: [
                "host": "\(configuration.host)", "port": "\(port)", "name": "\(configuration.name.authority)",
                "version": "\(KithVersion.number)",
            ])
        surroundings.announce("Kith \(KithVersion.number) is at \(configuration.name.url)")
        do {
            guard let token = try await rooms.identity.accounts.setupToken() else { return }
            surroundings.announce(
                "Make yourself the administrator: \(configuration.name.url)/setup?token=\(token)")
        } catch {
            logger.error("no set-up link could be made", metadata: ["error": "\(error)"])
        }
    }

    /// Where this machine reaches a server that listens on `host`.
    private static func address(of host: String, _ port: Int) -> String {
        switch host {
        case "0.0.0.0", "": "http://127.0.0.1:\(port)"
        case "::": "http://[::1]:\(port)"
        default: host.contains(":") ? "http://[\(host)]:\(port)" : "http://\(host):\(port)"
        }
    }
}
