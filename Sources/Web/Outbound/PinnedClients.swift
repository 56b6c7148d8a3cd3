import AsyncHTTPClient
import NIOCore
import NIOPosix
import Synchronization

/// HTTP clients that each connect to one checked address, whatever the name resolves to meanwhile.
///
/// AsyncHTTPClient takes such a pin for a whole client only, so there is one for each (host, address). All share the
/// process's event loops; one that isn't used is little more than its settings. The least recently used is shut down
/// when there are too many, once nobody uses it.
final class PinnedClients: Sendable {
    private struct Pin: Hashable {
        let host: String
        let address: IPAddress
    }

    fileprivate final class Entry: Sendable {
        let client: HTTPClient
        private let state = Mutex((users: 0, isRetired: false))

        init(_ client: HTTPClient) { self.client = client }

        /// False when the client is shut down or about to be.
        func enter() -> Bool {
            state.withLock { state in
                guard !state.isRetired else { return false }
                state.users += 1
                return true
            }
        }

        /// True when the caller was the last user of a retired client and has to shut it down.
        func leave() -> Bool {
            state.withLock { state in
                state.users -= 1
                return state.isRetired && state.users == 0
            }
        }

        /// True when nobody uses the client and the caller has to shut it down.
        func retire() -> Bool {
            state.withLock { state in
                guard !state.isRetired else { return false }
                state.isRetired = true
                return state.users == 0
            }
        }
    }

    private struct State {
        var entries: LeastRecentlyUsed<Pin, Entry>
        var isShutDown = false
    }

    private let state: Mutex<State>
    private let connectionsPerHostMax: Int

    init(countMax: Int, connectionsPerHostMax: Int) {
        self.connectionsPerHostMax = connectionsPerHostMax
        state = Mutex(State(entries: LeastRecentlyUsed(countMax: countMax)))
    }

    /// Runs `body` with the client for `host` at `address`.
    func withClient<Result: Sendable>(
        host: String,
        address: IPAddress,
        _ body: (HTTPClient) async throws -> Result
    ) async throws -> Result {
        let entry = try await entry(for: Pin(host: host, address: address))
        do {
            let result = try await body(entry.client)
            if entry.leave() { try? await entry.client.shutdown() }
            return result
        } catch {
            if entry.leave() { try? await entry.client.shutdown() }
            throw error
        }
    }

    /// The client for `host` at `address`, kept from being shut down until the lease is dropped.
    func lease(host: String, address: IPAddress) async throws -> Lease {
        Lease(entry: try await entry(for: Pin(host: host, address: address)))
    }

    /// A client in use.
    final class Lease: Sendable {
        private let entry: Entry

        fileprivate init(entry: Entry) { self.entry = entry }

        var client: HTTPClient { entry.client }

        deinit {
            // Nobody uses it any more, and nobody waits for its end.
            if entry.leave() { entry.client.shutdown().whenComplete { _ in } }
        }
    }

    deinit {
        // Dropped without a shutdown, say by somebody who failed before it, costs connections for a while, not the process.
        let entries = state.withLock { $0.entries.entries.map(\.value) }
        for entry in entries where entry.retire() { entry.client.shutdown().whenComplete { _ in } }
    }

    func shutdown() async {
        let entries = state.withLock { state in
            state.isShutDown = true
            defer { state.entries = LeastRecentlyUsed(countMax: 1) }
            return state.entries.entries.map(\.value)
        }
        for entry in entries where entry.retire() { try? await entry.client.shutdown() }
    }

    private func entry(for pin: Pin) async throws -> Entry {
        enum Found {
            case entered(Entry, evicted: Entry?)
            case isShutDown
        }
        let found: Found = state.withLock { state in
            if state.isShutDown { return .isShutDown }
            if let known = state.entries.touch(pin), known.enter() { return .entered(known, evicted: nil) }
            let made = Entry(client(for: pin))
            _ = made.enter()
            return .entered(made, evicted: state.entries.set(made, for: pin)?.value)
        }
        switch found {
        case .isShutDown: throw HTTPClientError.alreadyShutdown
        case .entered(let entry, let evicted):
            if let evicted, evicted.retire() { try? await evicted.client.shutdown() }
            return entry
        }
    }

    private func client(for pin: Pin) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(5), read: .seconds(30)),
            decompression: .disabled)
        configuration.dnsOverride = [pin.host: pin.address.description]
        configuration.connectionPool.idleTimeout = .seconds(30)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsPerHostMax
        // Trying again is the caller's choice, with another address.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        return HTTPClient(
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
    }
}
