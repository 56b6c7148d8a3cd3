package import ATProtocol
import Base
import Crypto

/// Where the bytes of one upload lie, e.g. `k4/k4pg…/bafkrei…-3jzfcijpj2z2a`.
///
/// `shard / account / CID - upload`: the account is a hash of the DID, so that no DID can be a path; the upload is
/// random, so that removing one upload never touches another of the same bytes. The room keeps it in its row.
package struct BlobLocation: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The text kept in the database: ASCII of `a-z`, `2-7`, `/` and `-`.
    package let string: String

    private static let accountLength = 32
    private static let shardLength = 2
    private static let uploadLength = 13

    init(did: DID, cid: CID, randomness: any Randomness) {
        let upload = Base32.encode(randomness.bytes(8))
        string = Self.directory(of: did) + "/" + cid.string + "-" + upload
    }

    /// A location read back from the database.
    /// - Throws: `.invalidLocation` for anything this type has not made.
    package init(parsing string: String) throws(BlobStoreError) {
        let parts = string.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[1].utf8.count == Self.accountLength, Self.isBase32(parts[1]),
            parts[0] == parts[1].prefix(Self.shardLength)
        else { throw .invalidLocation }
        let names = parts[2].split(separator: "-", omittingEmptySubsequences: false)
        guard names.count == 2, names[1].utf8.count == Self.uploadLength, Self.isBase32(names[1]),
            Self.isBase32(names[0]), (try? CID(parsing: String(names[0]))) != nil
        else { throw .invalidLocation }
        self.string = string
    }

    /// The CID of the bytes.
    package var cid: CID? {
        string.split(separator: "/").last?.split(separator: "-").first.flatMap { try? CID(parsing: String($0)) }
    }

    package var description: String { string }

    package static func < (left: BlobLocation, right: BlobLocation) -> Bool { left.string < right.string }

    /// The directory of an account's blobs: `shard/account`.
    static func directory(of did: DID) -> String {
        let account = Base32.encode(SHA256.hash(data: Array(did.string.utf8)).prefix(20))
        return account.prefix(shardLength) + "/" + account
    }

    /// The directory and the name of the file.
    var directory: String { String(string.prefix(Self.shardLength + 1 + Self.accountLength)) }

    private static func isBase32(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x32...0x37).contains($0) }
    }
}
