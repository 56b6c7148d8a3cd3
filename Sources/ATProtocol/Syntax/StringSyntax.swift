/// A text with a grammar. Parsing is the only way in: a value that exists is valid.
///
/// All are ASCII (a `URI` may hold more), so order and equality are those of the bytes. Coded as a single string.
package protocol StringSyntax: Hashable, Comparable, Sendable, CustomStringConvertible, Codable {
    /// The name errors call it by.
    static var kind: SyntaxError.Kind { get }

    /// The rule that `utf8` breaks, or nil when it is valid. Allocates nothing; linear in the length.
    static func fault(in utf8: Span<UInt8>) -> StaticString?

    /// The value of `string`.
    /// - Throws: the rule that `string` breaks.
    init(parsing string: String) throws(SyntaxError)

    /// The text; parsing it gives an equal value.
    var string: String { get }
}

extension StringSyntax {
    /// Whether `string` parses. Allocates nothing.
    package static func isValid(_ string: String) -> Bool {
        fault(in: string.utf8.span) == nil
    }

    /// The value of a text written in the source code.
    ///
    /// Traps when it is malformed: a mistake of the programmer, which no input can bring about.
    package init(literal: StaticString) {
        do {
            try self.init(parsing: literal.description)
        } catch {
            // No input gets here: the text is a literal of this program.
            preconditionFailure("\(error) in the source code: \(literal)")
        }
    }

    package var description: String { string }

    package static func < (left: Self, right: Self) -> Bool { left.string < right.string }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: decoder.singleValueContainer().decode(String.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(string)
    }

    /// Throws the rule that `string` breaks.
    static func check(_ string: String) throws(SyntaxError) {
        if let reason = fault(in: string.utf8.span) { throw SyntaxError(kind, reason) }
    }
}

extension UInt8 {
    var isASCIIDigit: Bool { self &- 0x30 < 10 }
    var isASCIILowercase: Bool { self &- 0x61 < 26 }
    var isASCIIUppercase: Bool { self &- 0x41 < 26 }
    var isASCIILetter: Bool { (self | 0x20) &- 0x61 < 26 }
    var isASCIIAlphanumeric: Bool { isASCIILetter || isASCIIDigit }
}

extension Span<UInt8> {
    /// The position of the first `byte` at or after `start`, or nil.
    func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
        var index = start
        while index < count {
            if self[index] == byte { return index }
            index += 1
        }
        return nil
    }

    /// Whether the bytes begin with those of `prefix`.
    func starts(with prefix: StaticString) -> Bool {
        guard count >= prefix.utf8CodeUnitCount else { return false }
        return prefix.withUTF8Buffer { bytes in
            for index in 0..<bytes.count where self[index] != bytes[index] { return false }
            return true
        }
    }
}
