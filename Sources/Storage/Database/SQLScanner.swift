/// Follows the text of a statement byte by byte, and knows what of it is code: neither text in quotes, nor a quoted
/// name, nor a comment.
///
/// It reads the common subset of SQL: quotes are doubled inside quotes, comments run from `--` to the end of the line or
/// from `/*` to the first `*/`. What one engine alone knows (`$tag$…$tag$`, `E'…\'…'`, comments inside comments) is not
/// understood. Text that never ends is text to the end of the statement.
struct SQLScanner {
    private enum Place {
        case code
        /// Until this byte. One that is doubled ends the text and begins it anew, which comes to the same.
        case quotes(UInt8)
        case line
        case block
    }

    private var place = Place.code
    /// The byte before, where it may be the first half of a mark.
    private var before: UInt8 = 0

    /// Takes the next byte.
    /// - Returns: whether it is code. Of marks that begin or end text or a comment either may be said.
    mutating func isCode(_ byte: UInt8) -> Bool {
        let pair = (before, byte)
        before = byte
        switch place {
        case .code:
            switch pair {
            case (_, UInt8(ascii: "'")), (_, UInt8(ascii: "\"")): place = .quotes(byte)
            case (UInt8(ascii: "-"), UInt8(ascii: "-")): place = .line
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                place = .block
                // The star of `/*` isn't that of `*/`.
                before = 0
            default: return true
            }
        case .quotes(let end):
            if byte == end { place = .code }
        case .line:
            if byte == UInt8(ascii: "\n") { place = .code }
        case .block:
            guard pair == (UInt8(ascii: "*"), UInt8(ascii: "/")) else { break }
            place = .code
            before = 0
        }
        return false
    }
}

extension SQLDialect {
    /// The largest `n` of the `$n` in a statement.
    static func parameterCount(_ sql: String) -> Int {
        var scanner = SQLScanner()
        var (largest, number) = (0, 0)
        var isNumber = false
        for byte in sql.utf8 {
            let isCode = scanner.isCode(byte)
            if isCode, byte == UInt8(ascii: "$") {
                (number, isNumber) = (0, true)
            } else if isCode, isNumber, byte >= 0x30, byte <= 0x39, number < 100_000 {
                number = number * 10 + Int(byte - 0x30)
                largest = max(largest, number)
            } else {
                isNumber = false
            }
        }
        return largest
    }

    /// Rewrites `$n` as `?n`: SQLite takes `$1` for a name and numbers names in order of appearance.
    static func sqlitePlaceholders(_ sql: String) -> String {
        var scanner = SQLScanner()
        let bytes = sql.utf8.map { byte in
            scanner.isCode(byte) && byte == UInt8(ascii: "$") ? UInt8(ascii: "?") : byte
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Puts others in place of whole words.
    static func translating(_ statement: String, _ words: [String: String]) -> String {
        var scanner = SQLScanner()
        var result: [UInt8] = []
        var word: [UInt8] = []
        func flush() {
            let text = String(decoding: word, as: UTF8.self)
            result += words[text].map { Array($0.utf8) } ?? word
            word.removeAll(keepingCapacity: true)
        }
        for byte in statement.utf8 {
            if scanner.isCode(byte), isOfWord(byte) {
                word.append(byte)
            } else {
                flush()
                result.append(byte)
            }
        }
        flush()
        return String(decoding: result, as: UTF8.self)
    }

    private static func isOfWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }
}
