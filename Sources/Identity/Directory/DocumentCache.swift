import ATProtocol
import Base

/// DID documents of other servers, kept for a while.
struct DocumentCache: Sendable {
    private struct Known: Sendable {
        let document: DIDDocument
        let at: Timestamp
    }

    private let clock: any WallClock
    private let known: BoundedCache<DID, Known>

    /// After this a document is fetched again; when that fails, the old one serves until `ageMax`.
    static let staleAge = Duration.seconds(3600)
    static let ageMax = Duration.seconds(86_400)

    init(clock: any WallClock, limits: IdentityLimits) {
        self.clock = clock
        known = BoundedCache(countMax: limits.documentsCachedMax)
    }

    /// The document of `did`, fetched by `fetch` unless a recent one is known.
    ///
    /// - Throws: what `fetch` throws, unless it is that a server can't be reached and an older document is known.
    func document(
        of did: DID, freshness: Freshness, fetch: () async throws -> DIDDocument
    ) async throws -> DIDDocument {
        let now = clock.now()
        let held = known.value(for: did)
        let age = held.map { now.since($0.at) }
        if freshness == .cached, let held, let age, age >= .zero, age < Self.staleAge { return held.document }
        let ticket = known.ticket()
        do {
            let document = try await fetch()
            known.keep(Known(document: document, at: now), for: did, ticket: ticket)
            return document
        } catch DirectoryError.unreachable {
            guard freshness == .cached, let held, let age, age >= .zero, age < Self.ageMax else {
                throw DirectoryError.unreachable
            }
            return held.document
        } catch {
            known.forget(did)
            throw error
        }
    }

    func forget(_ did: DID) { known.forget(did) }

    func forgetAll() { known.forgetAll() }
}
