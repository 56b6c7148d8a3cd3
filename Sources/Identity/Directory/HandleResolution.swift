import ATProtocol
import Base

/// Finds out where a handle of another server points, by DNS and then by https.
///
/// - Spec: https://atproto.com/specs/handle#handle-resolution
struct HandleResolution: Sendable {
    private struct Known: Sendable {
        let did: DID?
        let at: Timestamp
    }

    private let lookup: any RemoteLookup
    private let clock: any WallClock
    private let known: BoundedCache<Handle, Known>

    /// How long an answer is taken for true, and how long none is.
    static let ageMax = Duration.seconds(3600)
    static let missAgeMax = Duration.seconds(60)
    /// The longest answer of `/.well-known/atproto-did`: a DID with some white space.
    private static let answerSizeBytesMax = DID.lengthMax + 64

    init(lookup: any RemoteLookup, clock: any WallClock, limits: IdentityLimits) {
        self.lookup = lookup
        self.clock = clock
        known = BoundedCache(countMax: limits.handlesCachedMax)
    }

    /// The DID the handle points to, or nil.
    func resolve(_ handle: Handle, freshness: Freshness = .cached) async -> DID? {
        guard !handle.hasReservedTopLevelDomain, handle.topLevelDomain != "test" else { return nil }
        let now = clock.now()
        if freshness == .cached, let known = known.value(for: handle) {
            let age = now.since(known.at)
            if age >= .zero, age < (known.did == nil ? Self.missAgeMax : Self.ageMax) { return known.did }
        }
        let ticket = known.ticket()
        let did = await look(handle)
        known.keep(Known(did: did, at: now), for: handle, ticket: ticket)
        return did
    }

    private func look(_ handle: Handle) async -> DID? {
        switch await proclaimed(by: handle) {
        case .did(let did): return did
        case .contradiction: return nil
        case .nothing: break
        }
        guard
            let reply = try? await lookup.get(
                "https://\(handle.string)/.well-known/atproto-did", sizeBytesMax: Self.answerSizeBytesMax),
            reply.status == 200
        else { return nil }
        let text = String(decoding: reply.body, as: UTF8.self).split { $0.isWhitespace || $0.isNewline }
        return text.count == 1 ? try? DID(parsing: String(text[0])) : nil
    }

    private enum Proclamation {
        case did(DID)
        /// Several records name different DIDs.
        case contradiction
        case nothing
    }

    private func proclaimed(by handle: Handle) async -> Proclamation {
        let records = (try? await lookup.textRecords(of: "_atproto.\(handle.string)")) ?? []
        let values = Set(records.filter { $0.hasPrefix("did=") }.map { String($0.dropFirst(4)) })
        guard let value = values.first else { return .nothing }
        guard values.count == 1, let did = try? DID(parsing: value) else { return .contradiction }
        return .did(did)
    }
}

/// Whether an answer from memory will do.
package enum Freshness: Sendable, Hashable {
    case cached
    /// Ask again, past every cache.
    case fresh
}
