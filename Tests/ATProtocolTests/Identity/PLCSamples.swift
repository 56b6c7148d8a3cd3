import ATProtocol
import Base

/// Keys, operations and logs for the did:plc tests.
struct PLCSamples {
    let random: SeededRandomness
    /// The strongest first.
    let keys: [PrivateKey]

    init(seed: UInt64, keyCount: Int = 3) {
        let random = SeededRandomness(seed: seed)
        self.random = random
        keys = (0..<keyCount).map { .generate($0.isMultiple(of: 2) ? .k256 : .p256, using: random) }
    }

    static let start = Timestamp(seconds: 1_750_000_000)

    func state(_ handle: String = "alice.example.com") -> PLCState {
        PLCState(
            rotationKeys: keys.map(\.publicKey), signingKey: keys[0].publicKey,
            handle: Handle.invalid, pds: "https://pds.example.com"
        ).with(handle: handle)
    }

    func update(_ handle: String = "alice.example.com", after prev: PLCOperation?, by key: Int) throws -> PLCOperation {
        try PLCChange.update(state(handle), prev: prev?.cid).signed(by: keys[key])
    }

    func tombstone(after prev: PLCOperation, by key: Int) throws -> PLCOperation {
        try PLCChange.tombstone(prev: prev.cid).signed(by: keys[key])
    }

    /// A log with a first operation, received at `start`.
    func log() throws -> (log: PLCLog, genesis: PLCOperation) {
        let genesis = try update(after: nil, by: 0)
        var log = PLCLog(did: genesis.genesisDID)
        try log.apply(genesis, at: Self.start)
        return (log, genesis)
    }
}

extension PLCState {
    /// The state with another handle.
    func with(handle: String) -> PLCState {
        var changed = self
        changed.alsoKnownAs = ["at://" + handle]
        return changed
    }
}

extension Timestamp {
    static func + (left: Timestamp, right: Duration) -> Timestamp { left.advanced(by: right) }
}
