import Base
import Crypto
import Foundation
import _CryptoExtras

/// What computing a password's hash costs: the parameters of scrypt (RFC 7914).
package struct PasswordCost: Sendable, Hashable {
    /// N: memory and time, a power of two.
    package var rounds: Int
    /// r: 128·N·r bytes of memory.
    package var blockSize: Int
    /// p: further time.
    package var parallelism: Int

    package init(rounds: Int, blockSize: Int = 8, parallelism: Int = 1) {
        self.rounds = rounds
        self.blockSize = blockSize
        self.parallelism = parallelism
    }

    /// 32 MB, and about a tenth of a second on a small machine.
    package static let standard = PasswordCost(rounds: 1 << 15)
    /// For tests: far too cheap for anything else.
    package static let least = PasswordCost(rounds: 1 << 4, blockSize: 1)

    /// Nothing a stored hash says may cost more than this.
    fileprivate var isBearable: Bool {
        rounds >= 2 && rounds & (rounds - 1) == 0 && rounds <= 1 << 17 && (1...16).contains(blockSize)
            && (1...8).contains(parallelism)
    }
}

/// A password's hash: `$scrypt$N$r$p$salt$hash`, salt and hash in base64url, 16 and 32 bytes (other lengths are read).
struct PasswordHash: Sendable, Hashable {
    let cost: PasswordCost
    let salt: [UInt8]
    let digest: [UInt8]

    static let saltBytes = 16
    static let digestBytes = 32

    /// Computes the hash of `password`. Slow on purpose: never on a thread others wait for.
    /// - Throws: only when memory runs out.
    init(of password: String, cost: PasswordCost, salt: [UInt8]) throws {
        self.cost = cost
        self.salt = salt
        digest = try Self.digest(password, cost: cost, salt: salt, byteCount: Self.digestBytes)
    }

    /// Reads a stored hash; nil when it is of another kind, or would cost more than is bearable.
    init?(stored: String) {
        let parts = stored.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 7, parts[0].isEmpty, parts[1] == "scrypt",
            let rounds = Int(parts[2]), let blockSize = Int(parts[3]), let parallelism = Int(parts[4]),
            let salt = Base64URL.decode(parts[5]), let digest = Base64URL.decode(parts[6]),
            (16...64).contains(digest.count)
        else { return nil }
        cost = PasswordCost(rounds: rounds, blockSize: blockSize, parallelism: parallelism)
        guard cost.isBearable else { return nil }
        self.salt = salt
        self.digest = digest
    }

    var stored: String {
        "$scrypt$\(cost.rounds)$\(cost.blockSize)$\(cost.parallelism)$\(Base64URL.encode(salt))$\(Base64URL.encode(digest))"
    }

    /// Whether this is the hash of `password`. As slow as making it, whatever the answer.
    func matches(_ password: String) throws -> Bool {
        let other = try Self.digest(password, cost: cost, salt: salt, byteCount: digest.count)
        var difference: UInt8 = 0
        for (left, right) in zip(digest, other) { difference |= left ^ right }
        return difference == 0
    }

    private static func digest(
        _ password: String, cost: PasswordCost, salt: [UInt8], byteCount: Int
    ) throws -> [UInt8] {
        try KDF.Scrypt.deriveKey(
            from: Array(password.utf8), salt: salt, outputByteCount: byteCount, rounds: cost.rounds,
            blockSize: cost.blockSize, parallelism: cost.parallelism
        ).withUnsafeBytes { Array($0) }
    }
}
