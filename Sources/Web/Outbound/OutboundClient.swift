import AsyncHTTPClient
import Base
import Glibc
import NIOCore
import NIOHTTP1

/// A request to another server.
package struct OutboundRequest: Sendable {
    package var method: String
    package var url: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// How long everything may take, redirects included.
    package var timeout: Duration
    /// The longest answer that is read; more throws `.tooLarge`.
    package var byteCountMax: Int
    /// How many redirects are followed; 0 hands the redirect to the caller.
    package var redirectCountMax: Int

    /// - Parameter headers: sent as they are, beside Host, User-Agent and Content-Length.
    package init(
        _ method: String = "GET",
        _ url: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = [],
        timeout: Duration = .seconds(10),
        byteCountMax: Int = 1 << 20,
        redirectCountMax: Int = 3
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.byteCountMax = byteCountMax
        self.redirectCountMax = redirectCountMax
    }
}

/// What another server answered, whatever its status.
package struct OutboundResponse: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]
    /// Where the answer came from, after redirects.
    package let url: String

    /// For stand-ins in tests.
    package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [], url: String = "") {
        self.status = status
        self.headers = headers
        self.body = body
        self.url = url
    }

    /// The first value of the header `name` (any case), or nil.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

/// What sends requests to other servers; rooms hold this, tests put something else in.
package protocol OutboundHTTP: Sendable {
    /// Sends a request and reads the whole answer. Statuses are not judged.
    func send(_ request: OutboundRequest) async throws(OutboundFailure) -> OutboundResponse
}

/// The only HTTP client of the server, guarded against being sent to places it must not go.
///
/// https only; every name is resolved by us, only addresses of the public Internet are taken, and the connection goes
/// to the very address that was checked, so a name can't change its mind in between. Each redirect starts anew.
package final class OutboundClient: OutboundHTTP {
    /// What the client may do.
    package struct Policy: Sendable {
        /// The User-Agent of every request.
        package var userAgent: String
        /// Servers to which connections are kept at most.
        package var hostCountMax = 128
        /// Connections to one server that are used at once; more wait.
        package var connectionsPerHostMax = 8
        let allowsPlainHTTP: Bool
        let isReachable: @Sendable (IPAddress) -> Bool
        /// The only origin that requests may go to; nil is any.
        var origin: String?

        /// - Parameter isGuarded: false allows http and addresses of the local network, for development and tests.
        package init(isGuarded: Bool = true, userAgent: String = "kith") {
            self.init(allowsPlainHTTP: !isGuarded, userAgent: userAgent) { !isGuarded || $0.isPublic }
        }

        /// For one server that the operator has named: it may be on the local network and speak http, as nobody from outside
        /// has a say in where requests go. No other origin is taken, whatever its address.
        package init(only url: OutboundURL, userAgent: String = "kith") {
            self.init(allowsPlainHTTP: !url.isSecure, userAgent: userAgent) { _ in true }
            origin = url.origin
        }

        init(
            allowsPlainHTTP: Bool,
            userAgent: String = "kith",
            isReachable: @escaping @Sendable (IPAddress) -> Bool
        ) {
            self.allowsPlainHTTP = allowsPlainHTTP
            self.userAgent = userAgent
            self.isReachable = isReachable
        }
    }

    /// Addresses of one name that are tried in turn.
    private static let addressCountMax = 3

    let policy: Policy
    private let resolver: any NameResolver
    let clients: PinnedClients

    package init(policy: Policy, resolver: any NameResolver) {
        self.policy = policy
        self.resolver = resolver
        clients = PinnedClients(
            countMax: policy.hostCountMax, connectionsPerHostMax: policy.connectionsPerHostMax)
    }

    /// Closes all connections. Requests sent later fail.
    package func shutdown() async { await clients.shutdown() }

    package func send(_ request: OutboundRequest) async throws(OutboundFailure) -> OutboundResponse {
        let deadline = NIODeadline.now() + TimeAmount(request.timeout)
        do {
            return try await withThrowingTaskGroup(of: OutboundResponse.self) { group in
                group.addTask { try await self.follow(request, deadline: deadline) }
                group.addTask {
                    try await Task.sleep(for: request.timeout)
                    throw OutboundFailure.timeout
                }
                defer { group.cancelAll() }
                guard let first = try await group.next() else { throw OutboundFailure.timeout }
                return first
            }
        } catch let failure as OutboundFailure {
            throw failure
        } catch {
            throw .broken(error)
        }
    }

    private func follow(_ request: OutboundRequest, deadline: NIODeadline) async throws -> OutboundResponse {
        var request = request
        var url = try OutboundURL(parsing: request.url)
        for count in 0...request.redirectCountMax {
            let response = try await exchange(request, url: url, deadline: deadline)
            let isRedirect = [301, 302, 303, 307, 308].contains(response.status)
            guard isRedirect, request.redirectCountMax > 0, let location = response.header("location") else {
                return response
            }
            guard count < request.redirectCountMax else { break }
            let next = try url.redirected(to: location)
            if next.origin != url.origin { request.headers.removeAll { Self.isSecret($0.name) } }
            if response.status == 303 || (response.status < 303 && request.method == "POST") {
                request.method = request.method == "HEAD" ? "HEAD" : "GET"
                request.body = []
                request.headers.removeAll { $0.name.lowercased().hasPrefix("content-") }
            }
            url = next
        }
        throw OutboundFailure.badRedirect
    }

    /// Headers that must not follow a redirect to another origin.
    private static func isSecret(_ name: String) -> Bool {
        ["authorization", "cookie", "dpop", "x-partner-key"].contains(name.lowercased())
    }

    private func exchange(
        _ request: OutboundRequest,
        url: OutboundURL,
        deadline: NIODeadline
    ) async throws -> OutboundResponse {
        try await trying(url) { address in
            try await self.exchange(request, url: url, address: address, deadline: deadline)
        }
    }

    /// Checks where `url` leads and runs `body` for its addresses in turn, until one can be connected to.
    func trying<Result: Sendable>(
        _ url: OutboundURL, _ body: (IPAddress) async throws -> Result
    ) async throws -> Result {
        guard url.isSecure || policy.allowsPlainHTTP else { throw OutboundFailure.forbiddenAddress("not https") }
        guard policy.origin == nil || policy.origin == url.origin else {
            throw OutboundFailure.forbiddenAddress("another server than the one named")
        }
        let addresses = try await checkedAddresses(of: url)
        for (index, address) in addresses.enumerated() {
            do {
                return try await body(address)
            } catch let error where Self.neverConnected(error) && index + 1 < addresses.count {
                continue
            }
        }
        throw OutboundFailure.unresolved(host: url.hostText, .notFound)
    }

    /// The addresses that may be connected to: those of the public Internet, IPv4 first.
    private func checkedAddresses(of url: OutboundURL) async throws -> [IPAddress] {
        let found: [IPAddress]
        switch url.host {
        case .address(let address): found = [address]
        case .name(let name):
            do throws(DNSFailure) {
                found = try await resolver.addresses(of: name)
            } catch {
                throw OutboundFailure.unresolved(host: name, error)
            }
        }
        let allowed = found.filter(policy.isReachable)
        guard !allowed.isEmpty else {
            throw OutboundFailure.forbiddenAddress("\(url.hostText) isn't on the public Internet")
        }
        let ordered = allowed.filter { $0.family == .ipv4 } + allowed.filter { $0.family == .ipv6 }
        return Array(ordered.prefix(Self.addressCountMax))
    }

    /// Whether the request can't have reached anybody, so that the next address may be tried.
    static func neverConnected(_ error: any Error) -> Bool {
        if let failure = error as? OutboundFailure, case .broken(let cause) = failure { return neverConnected(cause) }
        if let error = error as? IOError {
            return [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL].contains(error.errnoCode)
        }
        return (error as? HTTPClientError) == .connectTimeout
    }

    private func exchange(
        _ request: OutboundRequest,
        url: OutboundURL,
        address: IPAddress,
        deadline: NIODeadline
    ) async throws -> OutboundResponse {
        var sent = HTTPClientRequest(url: url.description)
        sent.method = HTTPMethod(rawValue: request.method)
        for (name, value) in request.headers { sent.headers.add(name: name, value: value) }
        if !sent.headers.contains(name: "user-agent") {
            sent.headers.add(name: "user-agent", value: policy.userAgent)
        }
        if !request.body.isEmpty { sent.body = .bytes(request.body) }
        let ready = sent
        return try await clients.withClient(host: url.hostText, address: address) { client in
            do {
                let response = try await client.execute(ready, deadline: deadline)
                var body: [UInt8] = []
                if let length = response.headers.first(name: "content-length").flatMap({ Int($0) }),
                    length > request.byteCountMax, request.method != "HEAD"
                {
                    throw OutboundFailure.tooLarge(byteCountMax: request.byteCountMax)
                }
                for try await chunk in response.body {
                    guard body.count + chunk.readableBytes <= request.byteCountMax else {
                        throw OutboundFailure.tooLarge(byteCountMax: request.byteCountMax)
                    }
                    body.append(contentsOf: chunk.readableBytesView)
                }
                return OutboundResponse(
                    status: Int(response.status.code), headers: response.headers.map { ($0.name, $0.value) },
                    body: body, url: url.description)
            } catch let error as HTTPClientError where error == .deadlineExceeded {
                throw OutboundFailure.timeout
            } catch let failure as OutboundFailure {
                throw failure
            } catch {
                throw OutboundFailure.broken(error)
            }
        }
    }
}
