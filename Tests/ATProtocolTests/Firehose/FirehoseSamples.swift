import ATProtocol
import Base

/// Random firehose events for properties and fuzzing.
enum FirehoseSamples {
    static let did = DID(literal: "did:plc:44ybard66vv44zksje25o7dz")
    static let time = Datetime(literal: "2025-04-16T21:30:26.717Z")
    static let path = RepositoryPath(NSID(literal: "app.bsky.feed.like"), RecordKey(literal: "3lmxjza3h2i27"))

    static func cid(_ random: SeededRandomness, raw: Bool = false) -> CID {
        raw ? CID.of(raw: random.bytes(8)) : CID.of(dagCBOR: random.bytes(8))
    }

    static func tid(_ random: SeededRandomness) -> TID { TID(value: random.uint64() >> 1) }

    static func moment(_ random: SeededRandomness) -> Datetime {
        Datetime(Timestamp(microseconds: Int64(random.below(4_000_000_000)) * 1_000_000))
    }

    static func event(_ random: SeededRandomness) -> FirehoseEvent {
        switch random.below(4) {
        case 0: .commit(commit(random))
        case 1:
            .sync(
                FirehoseSync(
                    did: did, rev: tid(random), blocks: random.bytes(random.below(400)), time: moment(random)))
        case 2:
            .identity(
                FirehoseIdentity(
                    did: did, handle: random.oneIn(2) ? nil : Handle(literal: "alice.example.com"),
                    time: moment(random)))
        default: .account(FirehoseAccount(did: did, standing: standing(random), time: moment(random)))
        }
    }

    static func commit(_ random: SeededRandomness) -> FirehoseCommit {
        FirehoseCommit(
            repository: did,
            commit: cid(random),
            rev: tid(random),
            since: random.oneIn(3) ? nil : tid(random),
            previousData: random.oneIn(3) ? nil : cid(random),
            blocks: random.bytes(random.below(3_000)),
            operations: (0..<random.below(5)).map { _ in FirehoseOperation(path: path, action: action(random)) },
            blobs: (0..<random.below(3)).map { _ in cid(random, raw: true) },
            time: moment(random))
    }

    private static func action(_ random: SeededRandomness) -> FirehoseOperation.Action {
        switch random.below(5) {
        case 0: .create(cid(random))
        case 1: .update(cid(random), previous: cid(random))
        case 2: .update(cid(random), previous: nil)
        case 3: .delete(previous: cid(random))
        default: .delete(previous: nil)
        }
    }

    private static func standing(_ random: SeededRandomness) -> FirehoseAccount.Standing {
        switch random.below(5) {
        case 0: .active
        case 1: .activeWith(.throttled)
        case 2: .inactive(nil)
        case 3: .inactive(.unknown("resting"))
        default: .inactive(.deactivated)
        }
    }
}
