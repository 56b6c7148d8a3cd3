package import ATProtocol
import Base
import Crypto

/// The digest of those who may vote on a proposal, as its record keeps it: whoever has the list can prove that it is this.
///
/// Lower-case hexadecimal SHA-256 of the DIDs in the order of their bytes, a line break after each.
package struct ElectorateDigest {
    private var hash = SHA256()
    /// How many were taken in.
    package private(set) var count = 0

    package init() {}

    /// The digest of `voters`, in whatever order and however often they are named.
    package static func of(_ voters: some Sequence<DID>) -> String {
        var digest = ElectorateDigest()
        for voter in Set(voters).map(\.string).sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            digest.add(voter)
        }
        return digest.text
    }

    /// Takes in the next voter; they come in the order of their bytes.
    package mutating func add(_ voter: String) {
        hash.update(data: Array((voter + "\n").utf8))
        count += 1
    }

    /// The digest of all that were taken in.
    package var text: String { Hex.encode(hash.finalize()) }
}

/// How many votes decide, as it was settled when a proposal opened.
package struct Quorum: Sendable, Hashable {
    /// Votes. More than there are voters is never reached.
    package var needed: Int
    /// The percentage it comes from, 1…100.
    package var share: Int?

    package init(needed: Int, share: Int? = nil) {
        self.needed = max(needed, 0)
        self.share = share
    }

    /// A percentage of the electorate, rounded up: one vote at least.
    package init(share: Int, of electorateCount: Int) {
        let share = min(max(share, 1), 100)
        let (whole, rest) = max(electorateCount, 0).quotientAndRemainder(dividingBy: 100)
        self.init(needed: max(whole * share + (rest * share + 99) / 100, 1), share: share)
    }
}
