import Crypto

/// Keys of the Merkle search tree: `collection/record-key` as bytes, 1…1024 of them.
///
/// Spec: https://atproto.com/specs/repository#mst-structure
package enum TreeKey {
    /// Longest key, in bytes.
    package static let byteCountMax = 1024

    /// The layer of a key: half the number of leading zero bits of its SHA-256, rounded down; 0…128.
    package static func layer(of key: [UInt8]) -> Int {
        let digest = key.withUnsafeBytes { buffer in
            var hasher = SHA256()
            hasher.update(bufferPointer: buffer)
            return hasher.finalize()
        }
        return digest.withUnsafeBytes { bytes in
            var zeros = 0
            for byte in bytes {
                zeros += byte.leadingZeroBitCount
                if byte != 0 { break }
            }
            return zeros / 2
        }
    }

    /// The layer of a key given as text.
    package static func layer(of key: String) -> Int { layer(of: Array(key.utf8)) }

    /// Byte-wise order: negative, zero or positive as `left` comes before, equals or follows `right`.
    package static func compare(_ left: [UInt8], _ right: [UInt8]) -> Int {
        left.withUnsafeBufferPointer { left in
            right.withUnsafeBufferPointer { right in
                let count = min(left.count, right.count)
                var index = 0
                while index < count {
                    if left[index] != right[index] { return left[index] < right[index] ? -1 : 1 }
                    index += 1
                }
                return left.count - right.count
            }
        }
    }

    /// Number of bytes both keys begin with.
    package static func sharedPrefixCount(_ left: [UInt8], _ right: [UInt8]) -> Int {
        let count = min(left.count, right.count)
        var index = 0
        while index < count, left[index] == right[index] { index += 1 }
        return index
    }

    /// True when the key has the form the repository allows: a collection, one slash, a record key.
    package static func isValid(_ key: [UInt8]) -> Bool {
        guard key.count <= byteCountMax else { return false }
        return (try? RepositoryPath(parsing: String(decoding: key, as: UTF8.self))) != nil
    }
}
