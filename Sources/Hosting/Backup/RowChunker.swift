import Crypto
import Foundation

/// Cuts the rows of a table into pieces where the rows themselves say so, so that rows which didn't change fall into pieces
/// that are there already, whatever was inserted before them.
///
/// Where to cut is decided by a keyed hash: sizes of pieces tell nothing about rows to whoever hasn't the key.
struct RowChunker {
    /// No piece but the last is smaller.
    static let sizeBytesMin = 128 << 10
    /// What pieces hold on average.
    static let sizeBytesMean = 768 << 10
    /// No piece is larger, unless one row is.
    static let sizeBytesMax = 4 << 20

    private let key: SymmetricKey
    private(set) var pending: [UInt8] = []

    init(_ key: SealingKey) {
        self.key = SymmetricKey(data: Array("rows".utf8) + key.naming)
    }

    /// Takes a row; gives a piece when one is full.
    mutating func append(_ row: [UInt8]) -> [UInt8]? {
        var full: [UInt8]?
        if !pending.isEmpty, pending.count + row.count > Self.sizeBytesMax { full = finish() }
        pending += row
        if full == nil, pending.count >= Self.sizeBytesMin, isBoundary(row) { full = finish() }
        return full
    }

    /// The rows that are left; empty when there are none.
    mutating func finish() -> [UInt8] {
        defer { pending = [] }
        return pending
    }

    /// As likely as the row is long.
    private func isBoundary(_ row: [UInt8]) -> Bool {
        let code = HMAC<SHA256>.authenticationCode(for: row, using: key)
        let dice = code.prefix(4).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return dice < (UInt64(row.count) << 32) / UInt64(Self.sizeBytesMean)
    }
}
