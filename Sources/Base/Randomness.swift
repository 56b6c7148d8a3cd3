import Synchronization

/// A source of random bytes. Passed in everywhere, so that a failing test can be run again from its seed.
package protocol Randomness: Sendable {
    /// `count` random bytes; `count` is zero or more.
    func bytes(_ count: Int) -> [UInt8]
    /// 64 random bits.
    func uint64() -> UInt64
}

/// The operating system's cryptographically secure source.
package struct SystemRandomness: Randomness {
    package init() {}

    package func bytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            withUnsafeBytes(of: generator.next()) { result.append(contentsOf: $0) }
        }
        result.removeLast(result.count - count)
        return result
    }

    package func uint64() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

/// A reproducible source for tests and simulations (splitmix64). Never for keys or tokens.
package final class SeededRandomness: Randomness, RandomNumberGenerator {
    private let state: Mutex<UInt64>

    package init(seed: UInt64) {
        state = Mutex(seed)
    }

    package func uint64() -> UInt64 {
        state.withLock { state in
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    package func next() -> UInt64 { uint64() }

    package func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            withUnsafeBytes(of: uint64()) { result.append(contentsOf: $0) }
        }
        result.removeLast(result.count - count)
        return result
    }

    /// A number in `0..<bound`; `bound` is positive.
    package func below(_ bound: Int) -> Int {
        Int(uint64() % UInt64(max(bound, 1)))
    }

    /// True once in `n` draws.
    package func oneIn(_ n: Int) -> Bool { below(n) == 0 }
}
