package import Base
import Glibc
import HummingbirdCore
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The listener: accepts connections and serves them until it is told to stop.
///
/// As a `Service` it runs until graceful shutdown: then it accepts no more, closes idle connections and WebSockets
/// (1001), lets accepted requests finish within `ServerLimits.shutdownTimeout`, and returns. It throws when it can't
/// listen, or when listening ends by itself.
package struct HTTPServer: Service {
    /// Where and how to listen.
    package struct Configuration: Sendable {
        /// A host name or address to bind.
        package var host = "127.0.0.1"
        /// The port; 0 takes a free one, see `onListening`.
        package var port = 8080
        /// Sizes and times.
        package var limits = ServerLimits()
        /// Threads that serve sockets; nil takes one for each processor.
        package var threadCount: Int?

        package init() {}
    }

    /// Listening ended although nobody asked for it.
    package struct ListenerDied: Error {}

    /// The address can't be listened on; why, as a clause.
    package struct ListenFailure: Error, CustomStringConvertible {
        package let host: String
        package let port: Int
        package let reason: String

        package var description: String { "can't listen on \(host) port \(port): \(reason)" }
    }

    private let configuration: Configuration
    private let channel: ServerChannel
    private let logger: Logger
    private let onListening: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - onListening: called once with the port when connections are accepted.
    package init(
        responder: some HTTPResponder,
        configuration: Configuration,
        metrics: MetricRegistry,
        clock: any WallClock,
        randomness: any Randomness,
        logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.logger = logger
        self.onListening = onListening
        channel = ServerChannel(
            responder: responder, limits: configuration.limits, requestIDs: RequestIDs(randomness: randomness),
            dates: DateHeader(clock: clock), connections: ConnectionRegistry(metrics: metrics),
            streams: AddressShares(countMax: configuration.limits.streamCountPerAddressMax))
    }

    package func run() async throws {
        let group = configuration.threadCount.map { MultiThreadedEventLoopGroup(numberOfThreads: max(1, $0)) }
        do {
            try await serve(on: group ?? MultiThreadedEventLoopGroup.singleton)
            try? await group?.shutdownGracefully()
        } catch {
            try? await group?.shutdownGracefully()
            throw listenFailure(error) ?? error
        }
    }

    /// What keeps the address from being taken; nil for what ends a server that listens.
    private func listenFailure(_ error: any Error) -> ListenFailure? {
        let reason: String
        switch error {
        case let error as IOError where [EADDRINUSE, EACCES, EADDRNOTAVAIL].contains(error.errnoCode):
            reason = String(cString: strerror(error.errnoCode))
        case SocketAddressError.unknown: reason = "there is no such host"
        default: return nil
        }
        return ListenFailure(host: configuration.host, port: configuration.port, reason: reason)
    }

    private func serve(on group: MultiThreadedEventLoopGroup) async throws {
        // Where logs of single connections go; the level is the instance's.
        let server = channel.server(
            configuration: ServerConfiguration(
                address: .hostname(configuration.host, port: configuration.port), backlog: 1024,
                availableConnectionsDelegate: .maximum(configuration.limits.connectionCountMax, logger: logger)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            eventLoopGroup: group, logger: logger)
        let connections = channel.connections
        let deadline = configuration.limits.shutdownTimeout
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await server.run() }
            tasks.addTask {
                try await gracefulShutdown()
                try await Task.sleep(for: deadline)
                connections.closeAll()
            }
            tasks.addTask { try await connections.giveBackMemory() }
            // Whichever comes first, the last answer or the deadline, ends the rest.
            try await tasks.next()
            tasks.cancelAll()
            try? await tasks.waitForAll()
        }
        guard Task.isShuttingDownGracefully || Task.isCancelled else { throw ListenerDied() }
    }
}

/// All open connections, to count them and to end those that are left at the end.
final class ConnectionRegistry: Sendable {
    private let channels = Mutex<[ObjectIdentifier: any Channel]>([:])
    /// Closed since memory was last given back.
    private let closedCount = Atomic<Int>(0)
    private let open: Gauge
    private let accepted: Counter
    let webSockets: Gauge

    init(metrics: MetricRegistry) {
        open = metrics.gauge("kith_http_connections", help: "Open connections, WebSockets among them.")
        webSockets = metrics.gauge("kith_websocket_connections", help: "Open WebSockets.")
        accepted = metrics.counter("kith_http_connections_accepted_total", help: "Connections accepted.")
    }

    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        channels.withLock { $0[id] = channel }
        open.add(1)
        accepted.add()
        channel.closeFuture.whenComplete { [self] _ in
            channels.withLock { $0[id] = nil }
            open.add(-1)
            closedCount.wrappingAdd(1, ordering: .relaxed)
        }
    }

    /// Until cancelled: gives the system back what connections held, now and then, once many have gone.
    ///
    /// The allocator keeps what is freed in small pieces; after a crowd that would be most of its memory for good.
    func giveBackMemory() async throws {
        while true {
            try await Task.sleep(for: .seconds(15))
            guard closedCount.exchange(0, ordering: .relaxed) >= 100 else { continue }
            _ = Self.trim?(0)
        }
    }

    /// `malloc_trim(3)`, which the system's module doesn't declare.
    private static let trim = dlsym(UnsafeMutableRawPointer(bitPattern: 0), "malloc_trim").map {
        unsafeBitCast($0, to: (@convention(c) (Int) -> CInt).self)
    }

    /// Closes every connection, whatever it is at.
    func closeAll() {
        for channel in channels.withLock({ Array($0.values) }) { channel.close(promise: nil) }
    }
}
