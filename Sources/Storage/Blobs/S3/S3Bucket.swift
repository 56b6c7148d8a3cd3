import ATProtocol
import Base

/// Speaks S3 with one bucket: signs, waits, tries again, and believes no answer that doesn't hold together.
final class S3Bucket: Sendable {
    let location: S3Location
    let limits: S3Limits
    let clock: any WallClock
    private let signature: S3Signature
    private let transport: any ObjectTransport
    private let sleeper: any Clock<Duration>
    private let randomness: any Randomness
    private let requests: RequestSlots
    let reads: RequestSlots

    init(
        _ location: S3Location, _ credentials: S3Credentials, _ transport: any ObjectTransport, limits: S3Limits,
        clock: any WallClock, sleeper: any Clock<Duration>, randomness: any Randomness
    ) {
        self.location = location
        self.limits = limits
        self.clock = clock
        self.transport = transport
        self.sleeper = sleeper
        self.randomness = randomness
        signature = S3Signature(credentials: credentials, region: location.region)
        requests = RequestSlots(count: limits.requestsMax, waitingMax: limits.waitingMax)
        reads = RequestSlots(count: limits.readsMax, waitingMax: limits.waitingMax)
    }

    func close() async { await transport.close() }

    /// Sends a call, again where that may help, and reads the whole answer.
    /// - Returns: an answer of status 2xx.
    /// - Throws: `S3Failure`, `CancellationError`; what the call's body throws.
    func answer(_ call: S3Call) async throws -> S3Answer {
        try await retrying {
            let place = try await self.turn(self.requests)
            defer { place.end() }
            return try await self.whole(try await self.send(call), of: call)
        }
    }

    /// Sends a call once; the body of the answer is still to be read.
    func send(_ call: S3Call) async throws -> ObjectReply {
        let path = location.path(of: call.key)
        let headers = signature.headers(
            call.method, authority: location.authority, path: path, query: call.query, headers: call.headers,
            bodyHash: call.bodyHash, at: clock.now())
        let query = S3Signature.query(call.query)
        let url =
            location.origin.string + PercentEncoding.encode(path, keepingSlashes: true)
            + (query.isEmpty ? "" : "?" + query)
        let request = ObjectRequest(method: call.method, url: url, headers: headers, body: call.body)
        let timeout = (call.timeout ?? limits.headTimeout) + limits.duration(of: call.body.byteCount)
        return try await within(timeout, of: "\(call.method) had no answer") { [transport] in
            try await transport.send(request)
        }
    }

    /// Reads the rest of an answer and judges its status.
    func whole(_ reply: ObjectReply, of call: S3Call) async throws -> S3Answer {
        var body: [UInt8] = []
        var isWhole = call.method == "HEAD"
        let timeout = limits.headTimeout + limits.duration(of: Int64(limits.answerSizeBytesMax))
        let start = clock.now()
        while !isWhole {
            guard clock.now().since(start) < timeout else { throw S3Failure.timedOut("an answer dribbles") }
            let chunk = try await within(limits.stallTimeout, of: "an answer stands still") {
                try await reply.body.next()
            }
            guard let chunk else {
                isWhole = true
                continue
            }
            guard body.count + chunk.count <= limits.answerSizeBytesMax else {
                throw S3Failure.lied("an answer over \(limits.answerSizeBytesMax) bytes")
            }
            body += chunk
        }
        let answer = S3Answer(status: reply.status, headers: reply.headers, body: body)
        guard (200..<300).contains(reply.status) else { throw S3Failure.refused(answer.refusal) }
        return answer
    }

    /// The address with which anybody may GET an object for a while.
    func presigned(key: String, query: [S3Signature.Pair], lifetime: Duration) -> String {
        location.origin.string
            + signature.presigned(
                authority: location.authority, path: location.path(of: key), query: query, lifetime: lifetime,
                at: clock.now())
    }

    // MARK: Waiting

    /// A place among the requests under way.
    func turn(_ slots: RequestSlots) async throws -> RequestSlots.Place {
        do {
            return try await within(limits.turnTimeout, of: "no turn") { try await slots.take() }
        } catch S3Failure.timedOut {
            throw S3Failure.overloaded
        }
    }

    /// Runs `body` until it succeeds, fails for good, or was tried often enough.
    func retrying<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        var attempt = 1
        while true {
            do {
                return try await body()
            } catch let failure as S3Failure where failure.isTransient && attempt < limits.attemptsMax {
                guard failure.retryAfter ?? .zero <= limits.retryAfterMax else { throw failure }
                try await pause(after: attempt, atLeast: failure.retryAfter ?? .zero)
                attempt += 1
            }
        }
    }

    /// Waits before the next attempt: a random part of a time that doubles, so that many callers spread.
    func pause(after attempt: Int, atLeast floor: Duration = .zero) async throws {
        let longest = min(limits.pauseMin * (1 << min(max(attempt - 1, 0), 16)), limits.pauseMax)
        let share = Int64(randomness.uint64() % 1000) + 1
        try await sleeper.sleep(for: max(longest * share / 1000, floor))
    }

    /// Runs `body`, for so long at most.
    /// - Throws: `S3Failure.timedOut`; what `body` throws, that of the transport as `S3Failure`.
    func within<Result: Sendable>(
        _ timeout: Duration, of what: String, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result.self) { [sleeper] group in
            group.addTask {
                do {
                    return try await body()
                } catch ObjectTransportFailure.unreachable(let reason) {
                    throw S3Failure.unreachable(reason)
                } catch ObjectTransportFailure.broken(let reason) {
                    throw S3Failure.broken(reason)
                }
            }
            group.addTask {
                try await sleeper.sleep(for: timeout)
                throw S3Failure.timedOut(what)
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw S3Failure.timedOut(what) }
            return first
        }
    }
}

/// What a bucket is asked.
struct S3Call: Sendable {
    let method: String
    /// Nil asks the bucket itself.
    let key: String?
    var query: [S3Signature.Pair] = []
    var headers: [S3Signature.Pair] = []
    var body = ObjectBody([])
    /// SHA-256 of the body in hexadecimal; the store refuses a body that isn't it.
    var bodyHash = S3Call.emptyHash
    /// How long the head of the answer may take, beside what its size allows; nil is the usual time.
    var timeout: Duration?

    private static let emptyHash = S3Signature.hash([])

    init(_ method: String, _ key: String?, query: [S3Signature.Pair] = []) {
        self.method = method
        self.key = key
        self.query = query
    }

    /// The same with a body in memory.
    func with(_ bytes: [UInt8]) -> S3Call {
        var call = self
        call.body = ObjectBody(bytes)
        call.bodyHash = S3Signature.hash(bytes)
        return call
    }
}

/// A whole answer.
struct S3Answer: Sendable {
    let status: Int
    let headers: [(name: String, value: String)]
    let body: [UInt8]

    /// The first value of the header `name`, which is in lower case.
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }

    /// What an answer other than success says.
    var refusal: S3Refusal {
        let error = try? XMLElement(parsing: body)
        let seconds = header("retry-after").flatMap { $0.utf8.count <= 6 ? Int64($0) : nil }
        // A code of theirs goes into our log: a short word of letters or nothing.
        let code = (error?.name == "Error" ? error?["Code"] : nil) ?? ""
        let isWord = code.utf8.count <= 60 && code.utf8.allSatisfy { PercentEncoding.isUnreserved($0) }
        return S3Refusal(
            status: status, code: isWord ? code : "", retryAfter: seconds.map { .seconds(max(0, $0)) })
    }

    /// The answer as XML with a root of the name `root`. An error may hide under status 200, as when parts are joined.
    func element(_ root: String) throws(S3Failure) -> XMLElement {
        let element: XMLElement
        do throws(XMLElement.Mistake) {
            element = try XMLElement(parsing: body)
        } catch {
            throw .broken("XML \(error)")
        }
        if element.name == "Error" { throw .refused(refusal) }
        guard element.name == root else { throw .broken("no \(root)") }
        return element
    }

    /// The object's tag, quoted as it came.
    func entityTag() throws(S3Failure) -> String { try S3Answer.entityTag(header("etag")) }

    static func entityTag(_ text: String?) throws(S3Failure) -> String {
        guard let text, (2...130).contains(text.utf8.count), text.hasPrefix("\""), text.hasSuffix("\""),
            text.utf8.dropFirst().dropLast().allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") })
        else { throw .lied("no ETag") }
        return text
    }

    static func length(_ text: String?) throws(S3Failure) -> Int64 {
        guard let text, text.utf8.count <= 18, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int64(text)
        else { throw .broken("no length") }
        return length
    }
}
