/// The table of all routes of an instance. Rooms fill it; `XRPCResponder` serves it.
///
/// `Caller` is what `authenticate` makes of a request; `Access` is the label of who may call, which every route
/// carries, so that one test can try each route with each kind of caller.
///
/// ```swift
/// func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
///     routes.query("com.atproto.repo.getRecord", access: .anyone) { call in
///         .json(try await repositories.getRecord(call.parameters))
///     }
/// }
/// ```
package struct XRPCRouter<Caller: Sendable, Access: Sendable & Hashable>: Sendable {
    /// Answers a request, or throws: `WireConvertible` errors as they say, others as 500.
    package typealias Handler = @Sendable (XRPCCall<Caller>) async throws -> XRPCResponse
    /// Runs once the WebSocket stands; when it returns the socket is closed (1000), when it throws with 1011.
    package typealias SubscriptionHandler = @Sendable (XRPCCall<Caller>, WebSocketConnection) async throws -> Void
    /// Checks a subscription before the handshake is answered; what it throws is an ordinary HTTP failure.
    package typealias Admission = @Sendable (XRPCCall<Caller>) async throws -> Void
    /// Finds out who calls, or refuses.
    package typealias Authenticate = @Sendable (Access, RequestHead) async throws -> Caller

    let authenticate: Authenticate
    let anonymous: Set<Access>
    private(set) var entries: [RouteEntry<Caller, Access>] = []
    private(set) var fallbackEntry: RouteEntry<Caller, Access>?

    /// An empty table.
    ///
    /// - Parameters:
    ///   - anonymous: the labels that need no credentials; all other routes answer `Cache-Control: private`.
    ///   - authenticate: called for each request of a known route, after address limits and before the body is read.
    package init(anonymous: Set<Access>, authenticate: @escaping Authenticate) {
        self.anonymous = anonymous
        self.authenticate = authenticate
    }

    /// Every route that is served here with its label, in the order of registration.
    package var routes: [RouteDescription<Access>] { entries.filter { !$0.isElsewhere }.map(\.description) }

    /// Serves an XRPC query: GET (and HEAD) on `/xrpc/<nsid>`.
    package mutating func query(
        _ nsid: String,
        access: Access,
        limits: [RouteLimit<Caller>] = [],
        handler: @escaping Handler
    ) {
        add(.query, nsid, access, RouteOptions(limits: limits), .answer(handler))
    }

    /// Serves an XRPC procedure: POST on `/xrpc/<nsid>`.
    ///
    /// - Parameter body: the size limit; by default chosen by the method's name and input encoding.
    package mutating func procedure(
        _ nsid: String,
        access: Access,
        limits: [RouteLimit<Caller>] = [],
        body: BodyLimit? = nil,
        handler: @escaping Handler
    ) {
        add(.procedure, nsid, access, RouteOptions(limits: limits, body: body), .answer(handler))
    }

    /// Serves an XRPC subscription: a WebSocket on `/xrpc/<nsid>`.
    package mutating func subscription(
        _ nsid: String,
        access: Access,
        limits: [RouteLimit<Caller>] = [],
        admit: @escaping Admission = { _ in },
        handler: @escaping SubscriptionHandler
    ) {
        add(.subscription, nsid, access, RouteOptions(limits: limits), .subscribe(admit: admit, handler))
    }

    /// Serves GET (and HEAD) on a plain path. `:name` segments match any one segment, see `XRPCCall.path`.
    package mutating func get(
        _ path: String,
        access: Access,
        limits: [RouteLimit<Caller>] = [],
        failures: FailureDialect = .xrpc,
        handler: @escaping Handler
    ) {
        add(.plain("GET"), path, access, RouteOptions(limits: limits, failures: failures), .answer(handler))
    }

    /// Serves POST on a plain path.
    package mutating func post(
        _ path: String,
        access: Access,
        limits: [RouteLimit<Caller>] = [],
        body: BodyLimit = .json,
        failures: FailureDialect = .xrpc,
        handler: @escaping Handler
    ) {
        route("POST", path, access: access, limits: limits, body: body, failures: failures, handler: handler)
    }

    /// Serves any verb on a plain path.
    package mutating func route(
        _ verb: String,
        _ path: String,
        access: Access,
        limits: [RouteLimit<Caller>] = [],
        body: BodyLimit = .json,
        failures: FailureDialect = .xrpc,
        handler: @escaping Handler
    ) {
        let options = RouteOptions(limits: limits, body: body, failures: failures)
        add(.plain(verb), path, access, options, .answer(handler))
    }

    /// Serves XRPC methods nobody registered, e.g. by passing them on; the call's body is a stream, its parameters raw.
    package mutating func fallback(access: Access, body: BodyLimit = .json, handler: @escaping Handler) {
        fallbackEntry = RouteEntry(
            description: RouteDescription(kind: .fallback, name: "*", access: access),
            options: RouteOptions(body: body), action: .answer(handler))
    }

    /// Registers the routes of a room that another process serves: here they answer 404, to whoever asks.
    package mutating func elsewhere(_ room: (inout XRPCRouter) -> Void) {
        let count = entries.count
        room(&self)
        for index in count..<entries.count { entries[index].isElsewhere = true }
    }

    private mutating func add(
        _ kind: RouteKind,
        _ name: String,
        _ access: Access,
        _ options: RouteOptions<Caller>,
        _ action: RouteAction<Caller>
    ) {
        entries.append(
            RouteEntry(
                description: RouteDescription(kind: kind, name: name, access: access), options: options,
                action: action))
    }
}

/// How a route is reached.
package enum RouteKind: Sendable, Hashable {
    case query, procedure, subscription
    /// An ordinary path with this verb.
    case plain(String)
    /// XRPC methods that are not registered.
    case fallback
}

/// One line of the table of routes.
package struct RouteDescription<Access: Sendable & Hashable>: Sendable, Hashable {
    /// How the route is reached.
    package let kind: RouteKind
    /// The NSID, or the path pattern.
    package let name: String
    /// Who may call.
    package let access: Access
}

/// How many bytes of body a route takes, decoded. The numbers are in `ServerLimits`.
package enum BodyLimit: Sendable, Hashable {
    /// `jsonByteCountMax`.
    case json
    /// `recordByteCountMax`: JSON that carries records.
    case records
    /// `textByteCountMax`.
    case text
    /// `blobByteCountMax`.
    case blob
    /// `archiveByteCountMax`: CAR files.
    case archive
    /// As given.
    case bytes(Int)
}

/// A rate limit that a route charges for each call.
package struct RouteLimit<Caller: Sendable>: Sendable {
    let limit: RateLimit
    let points: Int
    /// Nil means the client's address, which is charged before authentication.
    let key: (@Sendable (XRPCCall<Caller>) -> String?)?
    /// Whether calls of the route aren't counted in `RateLimit.global`.
    let replacesGlobal: Bool

    /// Charged to the client's address, before authentication and body.
    package static func perAddress(_ limit: RateLimit, points: Int = 1) -> RouteLimit {
        RouteLimit(limit: limit, points: points, key: nil, replacesGlobal: false)
    }

    /// As `perAddress(_:points:)`, for routes that aren't counted in `RateLimit.global`.
    package static func perAddressInsteadOfGlobal(_ limit: RateLimit, points: Int = 1) -> RouteLimit {
        RouteLimit(limit: limit, points: points, key: nil, replacesGlobal: true)
    }

    /// Charged to the key `of` gives for the parsed call; a nil key is not charged.
    package static func per(
        _ limit: RateLimit,
        points: Int = 1,
        of key: @escaping @Sendable (XRPCCall<Caller>) -> String?
    ) -> RouteLimit {
        RouteLimit(limit: limit, points: points, key: key, replacesGlobal: false)
    }
}

struct RouteOptions<Caller: Sendable>: Sendable {
    var limits: [RouteLimit<Caller>] = []
    var body: BodyLimit?
    var failures: FailureDialect = .xrpc
}

enum RouteAction<Caller: Sendable>: Sendable {
    case answer(@Sendable (XRPCCall<Caller>) async throws -> XRPCResponse)
    case subscribe(
        admit: @Sendable (XRPCCall<Caller>) async throws -> Void,
        @Sendable (XRPCCall<Caller>, WebSocketConnection) async throws -> Void)
}

struct RouteEntry<Caller: Sendable, Access: Sendable & Hashable>: Sendable {
    let description: RouteDescription<Access>
    let options: RouteOptions<Caller>
    let action: RouteAction<Caller>
    var isElsewhere = false
}
