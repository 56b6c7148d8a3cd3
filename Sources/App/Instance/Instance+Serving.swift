import Base
import Contracts
import Identity
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals
import Web

extension Instance {
    /// How a serving instance is told to stop.
    package enum StopSignals: Sendable {
        /// SIGTERM and SIGINT, for the one instance of a process.
        case process
        /// None: `ServingInstance.stop` stops it. For an instance among others.
        case none
    }

    /// Serves until it is told to stop; then finishes what was accepted, within the configured time.
    ///
    /// - Parameter onListening: called once, when the port is open.
    /// - Throws: when it can't listen, or when a part of it ends by itself.
    package func serve(
        until signals: StopSignals,
        onListening: @escaping @Sendable (ServingInstance) async -> Void = { _ in }
    ) async throws {
        let handle = ServiceGroupHandle()
        // What its library tells of every start is told below.
        var logger = surroundings.logger
        logger.logLevel = max(logger.logLevel, .notice)
        let server = HTTPServer(
            responder: try responder(), configuration: serverConfiguration, metrics: metrics,
            clock: surroundings.clock, randomness: surroundings.randomness, logger: logger
        ) { [self] port in
            await listening(on: port)
            await onListening(ServingInstance(port: port, group: handle))
        }
        var services = rooms.services(surroundings).map {
            ServiceGroupConfiguration.ServiceConfiguration(service: $0, serviceName: $0.name)
        }
        services.append(.init(service: server, serviceName: "http"))
        var group = ServiceGroupConfiguration(services: services, logger: surroundings.logger)
        if signals == .process { group.gracefulShutdownSignals = [.sigterm, .sigint] }
        group.maximumGracefulShutdownDuration = configuration.shutdownTimeout + .seconds(2)
        defer { OperatorTicket.remove(from: directory) }
        let running = ServiceGroup(configuration: group)
        handle.set(running)
        try await running.run()
    }

    private func responder() throws -> XRPCResponder<Caller, AccessRule> {
        var settings = ResponderSettings(metrics: metrics, logger: surroundings.logger)
        settings.limits = limits
        settings.rateLimiter = rooms.limiter
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
        if !configuration.limitsRates { limits.streamCountPerAddressMax = .max }
        return limits
    }

    /// The port is open: leaves the ticket for commands.
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
    }

    /// Tells whoever started the server where it is and, while there is no administrator, how to become one.
    package func greet() async {
        surroundings.announce("Kith \(KithVersion.number) is at \(configuration.name.url)")
        do {
            guard let token = try await rooms.identity.accounts.setupToken() else { return }
            surroundings.announce(
                "Make yourself the administrator: \(configuration.name.url)/setup?token=\(token)")
        } catch {
            surroundings.logger.error("no set-up link could be made", metadata: ["error": "\(error)"])
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

/// An instance whose port is open.
package struct ServingInstance: Sendable {
    package let port: Int
    fileprivate let group: ServiceGroupHandle

    /// Has it finish what was accepted and end.
    package func stop() async { await group.value?.triggerGracefulShutdown() }
}

/// The group that a service is part of, known to it once the group is made.
private final class ServiceGroupHandle: Sendable {
    private let group = Mutex<ServiceGroup?>(nil)

    var value: ServiceGroup? { group.withLock { $0 } }

    func set(_ value: ServiceGroup) { group.withLock { $0 = value } }
}
