/// One place of a compiled schema. Nodes refer to one another by index into the table of their catalog, references
/// are followed once and for all, and nothing is looked up by name while values are checked.
enum LexiconNode: Sendable {
    case boolean(constant: Bool?)
    case integer(IntegerRule)
    case string(StringRule)
    case bytes(ClosedRange<Int>)
    case link
    case blob(LexiconBlob)
    case array(item: Int, ClosedRange<Int>)
    case object(ObjectRule)
    /// An object that must carry this `$type`.
    case record(type: String, object: Int)
    case union(UnionRule)
    case unknown
    /// The reference leads to a definition that is not in the catalog: every value passes, but none is surely valid.
    case unresolved
    /// The reference leads to something that has no values; says to what.
    case impossible(String)
}

struct IntegerRule: Sendable {
    let range: ClosedRange<Int64>
    /// The only values allowed; nil for all of the range.
    let allowed: [Int64]?

    init(_ integer: LexiconInteger) {
        // The parser has seen to it that the bounds are in order.
        let minimum = integer.minimum ?? .min
        range = minimum...max(minimum, integer.maximum ?? .max)
        allowed = integer.constant.map { [$0] } ?? integer.allowed
    }

    /// What `value` breaks, or nil.
    func fault(_ value: Int64) -> String? {
        if value < range.lowerBound { return "must be at least \(range.lowerBound)" }
        if value > range.upperBound { return "must be at most \(range.upperBound)" }
        if let allowed, !allowed.contains(value) {
            return "must be one of \(allowed.prefix(20).map(String.init).joined(separator: ", "))"
        }
        return nil
    }
}

final class StringRule: Sendable {
    let format: LexiconStringFormat?
    let length: ClosedRange<Int>
    let graphemes: ClosedRange<Int>
    /// The only values allowed; nil for all.
    let allowed: [String]?

    init(_ string: LexiconString) {
        format = string.format
        length = lengthRange(string.lengthMin, string.lengthMax)
        graphemes = lengthRange(string.graphemesMin, string.graphemesMax)
        allowed = string.constant.map { [$0] } ?? string.allowed
    }

    /// What `value` breaks, or nil.
    func fault(_ value: String) -> String? {
        let byteCount = value.utf8.count
        if byteCount < length.lowerBound { return "must not be shorter than \(length.lowerBound) bytes" }
        if byteCount > length.upperBound { return "must not be longer than \(length.upperBound) bytes" }
        if let fault = graphemeFault(value, byteCount) { return fault }
        if let allowed, !allowed.contains(where: { canonicalOrder($0, value) == 0 }) {
            return "must be one of \(allowed.prefix(20).joined(separator: ", "))"
        }
        if let format, let reason = format.fault(in: value.utf8.span) {
            return "must be of the format \(format.rawValue): \(reason)"
        }
        return nil
    }

    private func graphemeFault(_ value: String, _ byteCount: Int) -> String? {
        if byteCount < graphemes.lowerBound { return "must not be shorter than \(graphemes.lowerBound) graphemes" }
        // No grapheme is shorter than a byte, so most texts need no counting.
        guard byteCount > graphemes.upperBound || graphemes.lowerBound > 1 else { return nil }
        let count = value.count
        if count < graphemes.lowerBound { return "must not be shorter than \(graphemes.lowerBound) graphemes" }
        if count > graphemes.upperBound { return "must not be longer than \(graphemes.upperBound) graphemes" }
        return nil
    }
}

final class ObjectRule: Sendable {
    struct Property: Sendable {
        let name: String
        let node: Int
        let isRequired: Bool
        let isNullable: Bool
    }

    /// In canonical order, so that a map is checked in one pass over both.
    let properties: [Property]
    /// What absent fields stand for, as parameters and input are read.
    let defaults: [(name: String, value: DataValue)]

    init(properties: [Property], defaults: [(name: String, value: DataValue)]) {
        self.properties = properties
        self.defaults = defaults
    }
}

final class UnionRule: Sendable {
    /// Names as `$type` spells them.
    let variants: [(type: String, node: Int)]
    let isClosed: Bool

    init(variants: [(type: String, node: Int)], isClosed: Bool) {
        self.variants = variants
        self.isClosed = isClosed
    }
}

/// The range of lengths between optional bounds that are in order.
func lengthRange(_ lower: Int?, _ upper: Int?) -> ClosedRange<Int> {
    let lower = lower ?? 0
    return lower...max(lower, upper ?? .max)
}

/// The order of map keys in canonical form, by length and then by bytes: negative, zero or positive.
func canonicalOrder(_ left: String, _ right: String) -> Int {
    let (left, right) = (left.utf8.span, right.utf8.span)
    if left.count != right.count { return left.count - right.count }
    for index in 0..<left.count where left[index] != right[index] { return Int(left[index]) - Int(right[index]) }
    return 0
}
