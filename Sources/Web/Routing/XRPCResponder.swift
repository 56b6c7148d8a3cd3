import ATProtocol
import Base
package import Logging
import NIOHTTP1

/// What a responder needs beside its routes.
package struct ResponderSettings: Sendable {
    /// Sizes and times.
    package var limits = ServerLimits()
    /// The buckets; nil switches rate limits off.
    package var rateLimiter: RateLimiter?
    /// Where requests are counted.
    package var metrics: MetricRegistry
    /// Where unexpected failures are told.
    package var logger: Logger
    /// Whether clients reach the server by https only; then it says so (HSTS).
    package var isStrictTransport = false

    package init(metrics: MetricRegistry = MetricRegistry(), logger: Logger) {
        self.metrics = metrics
        self.logger = logger
    }
}

/// A table of routes that cannot be served. Thrown at start.
package struct RouterMistake: Error, Sendable, CustomStringConvertible {
    /// All problems found, one a line.
    package let problems: [String]
    package var description: String { problems.joined(separator: "\n") }
}

/// Serves the routes of a router: finds the route, checks limits, caller, parameters and body, and renders what comes back.
package final class XRPCResponder<Caller: Sendable, Access: Sendable & Hashable>: HTTPResponder {
    typealias Route = CompiledRoute<Caller, Access>

    let settings: ResponderSettings
    let authenticate: XRPCRouter<Caller, Access>.Authenticate
    let assembly: ResponseAssembly
    let unmatched: RouteMetrics
    private let methods: [String: Route]
    private let paths: PathTable<[String: Route]>
    private let fallback: Route?

    /// - Parameter catalog: the schema of every query, procedure and subscription of the router.
    /// - Throws: `RouterMistake` for methods without schema, registered twice or as another kind.
    package init(
        _ router: XRPCRouter<Caller, Access>,
        catalog: some XRPCMethodCatalog,
        settings: ResponderSettings
    ) throws(RouterMistake) {
        var problems: [String] = []
        var methods: [String: Route] = [:]
        var paths = PathTable<[String: Route]>()
        let latency = RequestMetrics(registry: settings.metrics)
        for entry in router.entries {
            let name = entry.description.name
            let schema = catalog.schema(for: name)
            if case .plain(let verb) = entry.description.kind {
                var verbs = paths[name] ?? [:]
                if verbs[verb] != nil { problems.append("\(verb) \(name) is registered twice") }
                verbs[verb] = Route(entry, schema: nil, router: router, settings: settings, metrics: latency)
                paths[name] = verbs
                continue
            }
            if methods[name] != nil { problems.append("\(name) is registered twice") }
            guard let schema else {
                problems.append("\(name) has no lexicon")
                continue
            }
            if !Self.kind(entry.description.kind, is: schema.kind) {
                problems.append("\(name) is a \(schema.kind.rawValue), not a \(entry.description.kind)")
            }
            methods[name] = Route(entry, schema: schema, router: router, settings: settings, metrics: latency)
        }
        guard problems.isEmpty else { throw RouterMistake(problems: problems) }
        self.methods = methods
        self.paths = paths
        self.settings = settings
        authenticate = router.authenticate
        fallback = router.fallbackEntry.map {
            Route($0, schema: nil, router: router, settings: settings, metrics: latency)
        }
        unmatched = latency.route("unmatched")
        assembly = ResponseAssembly(
            compressByteCountMin: settings.limits.compressByteCountMin, isStrictTransport: settings.isStrictTransport)
    }

    package func respond(to request: IncomingRequest) async -> OutgoingResponse {
        let start = ContinuousClock.now
        let scope = RequestScope(limiter: settings.rateLimiter)
        var route: Route?
        var response: OutgoingResponse
        do {
            if request.head.method == "OPTIONS" {
                response = assembly.preflight(request.head)
            } else {
                let (found, path) = try resolve(request.head, scope: scope)
                route = found
                let answer = try await run(found, path: path, request: request, scope: scope)
                response = try render(answer, of: found, for: request.head)
            }
        } catch {
            response = failure(error, for: request.head, route: route)
        }
        if let status = scope.rateLimitStatus, !response.fields.contains(name: "ratelimit-limit") {
            for header in status.headers { response.fields.add(name: header.name, value: header.value) }
        }
        let duration = ContinuousClock.now - start
        (route?.metrics ?? unmatched).record(status: Int(response.status.code), latency: duration)
        settings.logger.debug(
            "answered",
            metadata: [
                "request-id": "\(request.head.requestID)", "method": "\(request.head.method)",
                "path": "\(request.head.path)", "status": "\(response.status.code)", "seconds": "\(duration.inSeconds)",
            ])
        return response
    }

    package func admit(_ request: IncomingRequest) async -> UpgradeDecision {
        let scope = RequestScope(limiter: settings.rateLimiter)
        var route: Route?
        do {
            let (found, path) = try resolve(request.head, scope: scope)
            route = found
            guard case .subscribe(let admission, let handler) = found.action else {
                return .refuse(await respond(to: request))
            }
            let call = try await call(found, path: path, request: request, scope: scope)
            try await admission(call)
            found.metrics.record(status: 101, latency: .zero)
            return .accept(
                Subscription(fields: [("x-request-id", request.head.requestID)]) { socket in
                    try await handler(call, socket)
                })
        } catch {
            return .refuse(failure(error, for: request.head, route: route))
        }
    }

    /// The route of a request. One that leads nowhere is charged to its address, too.
    private func resolve(_ head: RequestHead, scope: RequestScope) throws -> (route: Route, path: [String: String]) {
        do throws(WebFailure) {
            return try resolve(head)
        } catch {
            if settings.rateLimiter != nil { try scope.charge(.global, key: head.addressKey, points: 1) }
            throw error
        }
    }

    /// The route of a request.
    ///
    /// - Throws: `WebFailure` when there is none for this path or verb.
    private func resolve(_ head: RequestHead) throws(WebFailure) -> (route: Route, path: [String: String]) {
        let verb = head.method == "HEAD" ? "GET" : head.method
        if let nsid = head.nsid, let route = methods[nsid] {
            if route.isElsewhere { throw .elsewhere }
            let expected = route.schema?.kind == .procedure ? "POST" : "GET"
            guard verb == expected else { throw .wrongVerb(expected: expected) }
            return (route, [:])
        }
        if let (verbs, path) = try paths.match(head.path) {
            guard let route = verbs[verb] else {
                throw .methodNotAllowed(allowed: verbs.keys.sorted().joined(separator: ", "))
            }
            if route.isElsewhere { throw .elsewhere }
            return (route, path)
        }
        guard let nsid = head.nsid else { throw .notFound }
        guard (try? NSID(parsing: nsid)) != nil else {
            throw .invalidRequest("Not a method name: \(nsid.prefix(100))")
        }
        guard let fallback else { throw .methodNotImplemented(nsid: nsid) }
        return (fallback, [:])
    }

    private func run(
        _ route: Route,
        path: [String: String],
        request: IncomingRequest,
        scope: RequestScope
    ) async throws -> XRPCResponse {
        guard case .answer(let handler) = route.action else { throw WebFailure.upgradeRequired }
        return try await handler(try await call(route, path: path, request: request, scope: scope))
    }

    /// Everything before the handler: limits, caller, parameters, negotiation, body.
    private func call(
        _ route: Route,
        path: [String: String],
        request: IncomingRequest,
        scope: RequestScope
    ) async throws -> XRPCCall<Caller> {
        let head = request.head
        try chargeAddress(route, head: head, scope: scope)
        let caller = try await authenticate(route.description.access, head)
        var parameters = DataMap()
        var input = DataValue.null
        var body = RequestBody()
        if let schema = route.schema {
            do {
                parameters = try schema.parse(parameters: QueryString.pairs(head.query))
                try checkAccept(route, head: head)
                (input, body) = try await self.body(of: request, schema: schema, route: route)
                if route.takesJSON { input = try schema.checked(input: input) }
            } catch let error where !(error is any WireConvertible) && !(error is CancellationError) {
                throw WebFailure.invalidRequest("\(error)")
            }
        } else {
            body = try requestBody(request, byteCountMax: route.bodyByteCountMax)
        }
        let call = XRPCCall(
            head: head, caller: caller, parameters: parameters, input: input, path: path, body: body, scope: scope)
        for limit in route.limits {
            guard let key = limit.key?(call) else { continue }
            try scope.charge(limit.limit, key: key, points: limit.points)
        }
        return call
    }

    private func chargeAddress(_ route: Route, head: RequestHead, scope: RequestScope) throws(RateLimitExceeded) {
        guard settings.rateLimiter != nil else { return }
        let key = head.addressKey
        if route.countsGlobally { try scope.charge(.global, key: key, points: 1) }
        for limit in route.limits where limit.key == nil {
            try scope.charge(limit.limit, key: key, points: limit.points)
        }
    }

    private func checkAccept(_ route: Route, head: RequestHead) throws(WebFailure) {
        guard !route.outputEncodings.isEmpty else { return }
        let lines = head.headers("accept")
        guard !lines.isEmpty else { return }
        let isAccepted = route.outputEncodings.contains { type in
            type.contains("*") || MediaType.isAcceptable(type, accept: lines)
        }
        guard isAccepted else { throw .notAcceptable(offered: route.outputEncodings.joined(separator: ", ")) }
    }

    private static func kind(_ kind: RouteKind, is schema: LexiconMethodKind) -> Bool {
        switch (kind, schema) {
        case (.query, .query), (.procedure, .procedure), (.subscription, .subscription): true
        default: false
        }
    }
}

/// A route with everything that can be known before its first request.
final class CompiledRoute<Caller: Sendable, Access: Sendable & Hashable>: Sendable {
    let description: RouteDescription<Access>
    let action: RouteAction<Caller>
    let schema: (any XRPCMethodSchema)?
    let limits: [RouteLimit<Caller>]
    let failures: FailureDialect
    let bodyByteCountMax: Int
    let isAnonymous: Bool
    /// Whether another process serves it, and this one answers 404.
    let isElsewhere: Bool
    let countsGlobally: Bool
    let metrics: RouteMetrics
    let inputEncodings: [String]
    let outputEncodings: [String]
    /// Whether the body is JSON, which the router parses and checks.
    let takesJSON: Bool

    init(
        _ entry: RouteEntry<Caller, Access>,
        schema: (any XRPCMethodSchema)?,
        router: XRPCRouter<Caller, Access>,
        settings: ResponderSettings,
        metrics: RequestMetrics
    ) {
        description = entry.description
        action = entry.action
        self.schema = schema
        limits = entry.options.limits
        failures = entry.options.failures
        inputEncodings = schema?.inputEncodings ?? []
        outputEncodings = schema?.outputEncodings ?? []
        takesJSON = inputEncodings == [JSONInput.mediaType]
        let limit = entry.options.body ?? Self.bodyLimit(entry.description.name, encoding: inputEncodings.first)
        bodyByteCountMax = settings.limits.byteCountMax(limit)
        isAnonymous = router.anonymous.contains(entry.description.access)
        isElsewhere = entry.isElsewhere
        countsGlobally = !entry.options.limits.contains { $0.replacesGlobal }
        self.metrics = metrics.route(
            entry.description.kind == .fallback ? "fallback" : entry.description.name)
    }

    /// The limit of a method that doesn't say: by its name and the kind of its input.
    private static func bodyLimit(_ name: String, encoding: String?) -> BodyLimit {
        switch name {
        case "com.atproto.repo.createRecord", "com.atproto.repo.putRecord", "com.atproto.repo.applyWrites": .records
        default:
            switch encoding {
            case nil, JSONInput.mediaType: .json
            case "application/vnd.ipld.car": .archive
            case .some(let type): type.hasPrefix("text/") ? .text : .blob
            }
        }
    }
}
