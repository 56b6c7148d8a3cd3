import ATProtocol
import Base
import TestDatabases
import Testing

@testable import Storage

/// A bucket that fails: tried again where that helps, given up in time, and nothing acknowledged that it may not have.
@Suite(.timeLimit(.minutes(10))) struct FailingBucketTests: BucketTest {
    let random = SeededRandomness(seed: 5)
    let spool: ScratchDirectory

    init() throws {
        spool = try ScratchDirectory()
    }

    // MARK: Trying again

    @Test(arguments: [500, 502, 503, 504, 429]) func whatPassesIsTriedAgain(status: Int) async throws {
        let bucket = MemoryBucket { _, number in
            number % 3 < 2 ? .only(.error(status, "InternalError")) : .honest
        }
        let store = try bucket.store(spool: spool)
        let content = random.bytes(1000)
        let blob = try await put(store, content)
        #expect(await read(store, blob.location) == (content, nil))
        let pauses = bucket.sleeper.pauses
        #expect(pauses.count == 6 && pauses.allSatisfy { $0 > .zero && $0 <= .milliseconds(400) })
    }

    @Test func whatLastsIsGivenUp() async throws {
        let bucket = MemoryBucket { _, _ in .only(.error(500, "InternalError")) }
        let store = try bucket.store(spool: spool)
        #expect(isUnavailable(await failure { try await put(store, [1]) }))
        // Four attempts to store, and as many to take back what may be there all the same.
        #expect(bucket.requests.map(\.method) == ["PUT", "PUT", "PUT", "PUT", "DELETE", "DELETE", "DELETE", "DELETE"])
    }

    @Test func retryAfterIsHeeded() async throws {
        let bucket = MemoryBucket { _, number in
            number == 0 ? .only(.error(503, "SlowDown", [("Retry-After", "7")])) : .honest
        }
        _ = try await put(try bucket.store(spool: spool), [1])
        #expect(bucket.sleeper.pauses == [.seconds(7)])
        let stern = MemoryBucket { _, _ in .only(.error(503, "SlowDown", [("Retry-After", "3600")])) }
        #expect(isUnavailable(await failure { try await stern.store(spool: spool).list(after: nil, limit: 1) }))
        #expect(stern.requests.count == 1 && stern.sleeper.pauses.isEmpty)
    }

    @Test(arguments: [
        (403, "AccessDenied", "denies access"), (403, "SignatureDoesNotMatch", "secret key is wrong"),
        (404, "NoSuchBucket", "no such bucket"), (301, "PermanentRedirect", "elsewhere"), (307, "", "elsewhere"),
        (400, "evil\u{1B}[2J", "answered 400"), (418, "", "answered 418"),
    ])
    func whatWillNotPassIsNotTriedAgain(status: Int, code: String, said: String) async throws {
        let bucket = MemoryBucket { _, _ in
            .only(.error(status, code, [("Location", "http://169.254.169.254/latest/meta-data")]))
        }
        let store = try bucket.store(spool: spool)
        let error = await failure { try await store.check() }
        #expect(isUnavailable(error) && "\(String(describing: error))".contains(said))
        #expect(!"\(String(describing: error))".contains("\u{1B}"))
        #expect(bucket.requests.count == 1)
        // Only a missing object is one that isn't there.
        let location = try BlobLocation(
            parsing: BlobLocation(did: EventLogTests.alice, cid: CID.of(raw: [1] as [UInt8]), randomness: random).string
        )
        #expect(isUnavailable(await read(store, location).error))
    }

    @Test func aFullStoreIsFull() async throws {
        let bucket = MemoryBucket { _, _ in .only(.error(507, "InsufficientStorage")) }
        let error = await failure { try await put(try bucket.store(spool: spool), [1]) }
        #expect(error as? BlobStoreError == .full)
    }

    // MARK: Writing

    @Test func nothingIsAcknowledgedUnseen() async throws {
        let lies: [(String, MemoryBucket.Mischief)] = [
            (
                "kept nothing",
                { request, _ in
                    request.method == "PUT" ? .only(.bytes(200, [], [("ETag", "\"x\"")])) : .honest
                }
            ),
            (
                "another length",
                { request, _ in
                    .answering { request.method == "HEAD" ? $0.with("Content-Length", "7") : $0 }
                }
            ),
            ("another tag", { request, _ in .answering { request.method == "PUT" ? $0.with("ETag", "\"x\"") : $0 } }),
            ("no tag", { request, _ in .answering { request.method == "PUT" ? $0.with("ETag", nil) : $0 } }),
            (
                "a hidden error",
                { request, _ in
                    request.method == "POST" && request.url.contains("uploadId")
                        ? .only(.error(200, "InternalError")) : .honest
                }
            ),
            ("no XML", { request, _ in request.method == "POST" ? .only(.xml("<<")) : .honest }),
            (
                "a bomb",
                { request, _ in
                    request.method == "POST" ? .only(.xml("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>")) : .honest
                }
            ),
            (
                "an endless answer",
                { request, _ in
                    guard request.method == "POST" else { return .honest }
                    return .only(
                        ObjectReply.xml("").with([[UInt8]](repeating: [UInt8](repeating: 32, count: 1 << 20), count: 9))
                    )
                }
            ),
            (
                "broken off",
                { request, _ in
                    if request.method == "PUT" { throw ObjectTransportFailure.broken("reset") }
                    return .honest
                }
            ),
        ]
        for (name, lie) in lies {
            let bucket = MemoryBucket(lie)
            let store = try bucket.store(spool: spool)
            let error = await failure { try await put(store, random.bytes(250_000)) }
            let small = await failure { try await put(store, random.bytes(100)) }
            let isOfParts = ["a hidden error", "no XML", "a bomb", "an endless answer"].contains(name)
            #expect(error is BlobStoreError, "\(name): \(String(describing: error))")
            #expect(isOfParts ? small == nil : small is BlobStoreError, "\(name): \(String(describing: small))")
            #expect(bucket.openUploads.isEmpty, "\(name) left an upload")
            #expect(bucket.keys.count == (isOfParts ? 1 : 0), "\(name) left an object")
        }
    }

    /// The answer to the last step is lost, and at the next attempt the upload is over.
    @Test func anUploadThatEndedUnheardIsFound() async throws {
        let bucket = MemoryBucket { request, _ in
            guard request.method == "POST", request.url.contains("uploadId") else { return .honest }
            return .answering { $0.status == 200 ? .error(500, "InternalError") : $0 }
        }
        let store = try bucket.store(spool: spool)
        let content = random.bytes(250_000)
        let blob = try await put(store, content)
        #expect(await read(store, blob.location) == (content, nil))
    }

    @Test func unfinishedUploadsAreSwept() async throws {
        let bucket = MemoryBucket { request, _ in
            // Parts fail, and so does giving up.
            request.url.contains("uploadId") ? .only(.error(500, "InternalError")) : .honest
        }
        let store = try bucket.store(spool: spool)
        for _ in 0..<5 { #expect(await failure { try await put(store, random.bytes(250_000)) } != nil) }
        #expect(bucket.openUploads.count == 5)
        let healed = bucket.healed()
        let again = try healed.store(spool: spool)
        // They began 59, 58, … minutes ago.
        #expect(try await again.removeAbandoned(before: bucket.clock.now().advanced(by: .seconds(-56 * 60))) == 3)
        #expect(healed.openUploads.count == 2)
    }

    @Test func aMoveIsNotBelievedBeforeItIsSeen() async throws {
        let bucket = MemoryBucket { request, _ in
            request.headers.contains { $0.name == "x-amz-copy-source" }
                ? .only(.xml("<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>")) : .honest
        }
        let store = try bucket.store(spool: spool)
        let content = random.bytes(100)
        let blob = try await put(store, content)
        #expect(await failure { try await store.quarantine(blob.location) } != nil)
        #expect(await read(store, blob.location) == (content, nil))
    }

    // MARK: Bounds

    @Test func requestsUnderWayAreBounded() async throws {
        let bucket = MemoryBucket()
        var limits = MemoryBucket.limits
        limits.requestsMax = 3
        limits.readsMax = 2
        let store = try bucket.store(spool: spool, limits: limits)
        let results = await outcomes(
            (0..<30).map { number in { @Sendable in try await put(store, [UInt8(number)]) } })
        #expect(results.allSatisfy { (try? $0.get()) != nil } && bucket.runningMax <= 3)
        // Two readers that stand still leave no room for a third, who is told so in time.
        let location = try results[0].get().location
        let first = try await store.read(location, range: nil)
        let second = try await store.read(location, range: nil)
        bucket.sleeper.expire()
        await #expect(throws: BlobStoreError.overloaded) { try await store.read(location, range: nil) }
        for try await _ in first {}
        #expect(try await store.read(location, range: nil).sizeBytes == 1)
        withExtendedLifetime(second) {}
    }

    @Test func tooManyWaitingAreRefused() async throws {
        let slots = RequestSlots(count: 1, waitingMax: 1)
        let held = try await slots.take()
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<2 { group.addTask { (try? await slots.take()) == nil } }
            // One of the two is refused; the other waits until the place is given back.
            #expect(await group.next() == true)
            held.end()
            held.end()
            #expect(await group.next() == false)
        }
        let again = try await slots.take()
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do { return try await slots.take() === again } catch { return error is CancellationError }
            }
            group.cancelAll()
            #expect(await group.next() == true)
        }
        again.end()
        try await slots.take().end()
    }

    // MARK: What leaves us

    @Test func nothingSecretLeavesUs() async throws {
        let bucket = MemoryBucket()
        let store = try bucket.store(spool: spool, handsOutAddresses: true)
        let blob = try await put(store, random.bytes(250_000))
        _ = await read(store, blob.location)
        for request in bucket.requests {
            let all = request.url + request.headers.map { "\($0.name): \($0.value)" }.joined()
            #expect(!all.contains("never-to-be-seen"))
            #expect(request.url.hasPrefix("http://10.0.0.1:9000/bucket/some/where/stored/"))
        }
        let address = try #require(
            store.temporaryAddress(
                of: blob.location, contentType: "image/png", disposition: "attachment; filename=\"x\"",
                lifetime: .seconds(300)))
        #expect(address.contains("response-content-type=image%2Fpng&") && address.contains("X-Amz-Expires=300"))
        #expect(!address.contains("never-to-be-seen"))
        let silent = try bucket.store(spool: spool)
        #expect(
            silent.temporaryAddress(
                of: blob.location, contentType: "image/png", disposition: "attachment", lifetime: .seconds(1)) == nil)
    }
}
