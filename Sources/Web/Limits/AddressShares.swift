import Synchronization

/// What each client address holds of something scarce at this moment: never more than its share.
///
/// Memory is bounded by what is held: an address that holds nothing is forgotten.
package final class AddressShares: Sendable {
    private let countMax: Int
    private let counts = Mutex<[String: Int]>([:])

    /// - Parameter countMax: what one address may hold.
    package init(countMax: Int) { self.countMax = countMax }

    /// Whether the address `key` (`RequestHead.addressKey`) has some of its share left.
    package func hasRoom(for key: String) -> Bool { counts.withLock { $0[key, default: 0] } < countMax }

    /// Takes one; each one taken wants one `leave`.
    ///
    /// - Returns: false when the share is used up; nothing was taken then.
    package func enter(_ key: String) -> Bool {
        counts.withLock { counts in
            let held = counts[key, default: 0]
            guard held < countMax else { return false }
            counts[key] = held + 1
            return true
        }
    }

    /// Gives one back.
    package func leave(_ key: String) {
        counts.withLock { counts in
            let held = counts[key, default: 0] - 1
            counts[key] = held > 0 ? held : nil
        }
    }
}
