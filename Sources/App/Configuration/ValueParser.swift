import ATProtocol
import Base
import Storage

/// What a written value is not. The sentence continues "… is not ".
struct ValueMistake: Error {
    let expected: String
    /// Whether the text may hold what must not be shown.
    var hidesText = false
}

/// Turns what people write into a value and back.
struct ValueParser<Value: Sendable>: Sendable {
    /// What may be written.
    let form: String
    var isSecret = false
    /// Whether a list may be written.
    var isList = false
    let parse: @Sendable (String) throws(ValueMistake) -> Value
    let render: @Sendable (Value) -> String
}

extension ValueParser where Value == String {
    static let text = ValueParser(form: "text", parse: { $0 }, render: { $0 })

    /// An absolute http or https URL, as a link for people.
    static let link = ValueParser(
        form: "URL",
        parse: { text throws(ValueMistake) in
            let rest = text.hasPrefix("https://") ? text.dropFirst(8) : text.dropFirst(7)
            let isWeb = text.hasPrefix("https://") || text.hasPrefix("http://")
            guard isWeb, !rest.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\"") })
            else { throw ValueMistake(expected: "an address that begins with https:// or http://") }
            return text
        }, render: { $0 })

    /// A domain under which handles are given, with the dot before it, e.g. `.example.com`.
    static let handleDomain = ValueParser(
        form: "domain with a dot before it",
        parse: { text throws(ValueMistake) in
            let domain = text.hasPrefix(".") ? text.lowercased() : "." + text.lowercased()
            guard (try? Handle(parsing: "name" + domain)) != nil else {
                throw ValueMistake(expected: "a domain such as .example.com")
            }
            return domain
        }, render: { $0 })
}

extension ValueParser where Value == ServiceOrigin {
    /// Where another server is reached.
    static let origin = ValueParser(
        form: "URL without path",
        parse: { text throws(ValueMistake) in
            guard let origin = ServiceOrigin(text) else {
                throw ValueMistake(expected: "the address of a server, such as https://example.com")
            }
            return origin
        }, render: { $0.string })
}

extension ValueParser where Value == PublicName {
    /// The name under which the world reaches this server.
    static let publicName = ValueParser(
        form: "host, or host:port",
        parse: { text throws(ValueMistake) in
            guard let name = PublicName(text) else {
                throw ValueMistake(expected: "a host name such as example.com, or localhost:8080")
            }
            return name
        }, render: { $0.authority })
}

extension ValueParser where Value == DatabaseLocation {
    static let database = ValueParser(
        form: "sqlite:PATH or postgresql://USER:PASSWORD@HOST/DATABASE",
        parse: { text throws(ValueMistake) in
            if let server = server(text) { return server }
            guard text.hasPrefix("sqlite:"), text.utf8.count > 7 else {
                // Some forget the scheme of an address with a password.
                throw ValueMistake(expected: "of the form sqlite:PATH or postgresql://…", hidesText: true)
            }
            return .sqlite(path: String(text.dropFirst(7)))
        }, render: { $0.description })

    /// A database of a server alone.
    static let databaseServer = ValueParser(
        form: "postgresql://USER:PASSWORD@HOST/DATABASE",
        parse: { text throws(ValueMistake) in
            guard let server = server(text) else {
                throw ValueMistake(expected: "of the form postgresql://…", hidesText: true)
            }
            return server
        }, render: { $0.description })

    private static func server(_ text: String) -> DatabaseLocation? {
        let isServer = text.hasPrefix("postgresql://") || text.hasPrefix("postgres://")
        return isServer && !text.utf8.contains(0) ? .postgreSQL(url: Secret(text)) : nil
    }
}

extension ValueParser where Value == BlobsLocation {
    static let blobs = ValueParser(
        form: "file:PATH or s3://BUCKET/PREFIX?endpoint=URL&region=NAME",
        parse: { text throws(ValueMistake) in
            if text.hasPrefix("s3:") {
                do throws(S3Location.Mistake) {
                    return .s3(try S3Location(parsing: text))
                } catch {
                    // Some write their keys into the address.
                    throw ValueMistake(expected: error.expected, hidesText: true)
                }
            }
            guard text.hasPrefix("file:"), text.utf8.count > 5 else {
                throw ValueMistake(expected: "of the form file:PATH or s3://BUCKET")
            }
            return .file(path: String(text.dropFirst(5)))
        }, render: { $0.description })
}

extension ValueParser where Value == Secret {
    static let secret = ValueParser(
        form: "text", isSecret: true, parse: { Secret($0) }, render: { $0.description })
}

extension ValueParser where Value == Bool {
    static let flag = ValueParser(
        form: "true or false",
        parse: { text throws(ValueMistake) in
            switch text.lowercased() {
            case "true", "yes", "on", "1": return true
            case "false", "no", "off", "0": return false
            default: throw ValueMistake(expected: "true or false")
            }
        }, render: { $0 ? "true" : "false" })
}

extension ValueParser where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> ValueParser {
        let form = "whole number, \(range.lowerBound)…\(range.upperBound)"
        return ValueParser(
            form: form,
            parse: { text throws(ValueMistake) in
                guard let value = Int(text), range.contains(value) else { throw ValueMistake(expected: "a \(form)") }
                return value
            }, render: { String($0) })
    }

    /// A number of bytes, with or without a unit.
    static func size(_ range: ClosedRange<Int>) -> ValueParser {
        let form = "size, \(ByteSize(range.lowerBound))…\(ByteSize(range.upperBound))"
        return ValueParser(
            form: form,
            parse: { text throws(ValueMistake) in
                guard let value = ByteSize(text)?.bytes, range.contains(value) else {
                    throw ValueMistake(expected: "a \(form) (bytes, or with kB, MB, GB, KiB, MiB, GiB)")
                }
                return value
            }, render: { ByteSize($0).description })
    }
}

extension ValueParser where Value == Duration {
    /// A time with its unit, e.g. `72h`.
    static func duration(_ range: ClosedRange<Duration>) -> ValueParser {
        let form = "duration, \(Self.render(range.lowerBound))…\(Self.render(range.upperBound))"
        return ValueParser(
            form: form,
            parse: { text throws(ValueMistake) in
                guard let value = Self.duration(text), range.contains(value) else {
                    throw ValueMistake(expected: "a \(form) (with s, m, h or d)")
                }
                return value
            }, render: Self.render)
    }

    private static let units: [(suffix: Character, seconds: Int64)] = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)]

    private static func duration(_ text: String) -> Duration? {
        guard let suffix = text.last, let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
        let digits = text.dropLast().trimmingSpaces
        guard let count = Int64(digits), count >= 0, count <= 1_000_000 else { return nil }
        return .seconds(count * unit.seconds)
    }

    private static func render(_ duration: Duration) -> String {
        let seconds = duration.components.seconds
        let unit = units.first { seconds >= $0.seconds && seconds % $0.seconds == 0 } ?? ("s", 1)
        return "\(seconds / unit.seconds)\(unit.suffix)"
    }
}

extension ValueParser where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of the words.
    static var choice: ValueParser {
        let form = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return ValueParser(
            form: "one of " + form,
            parse: { text throws(ValueMistake) in
                guard let value = Value(rawValue: text.lowercased()) else {
                    throw ValueMistake(expected: "one of " + form)
                }
                return value
            }, render: { $0.rawValue })
    }
}

/// Any number of values: a YAML list, or one text with commas.
func list<Element: Sendable>(of element: ValueParser<Element>) -> ValueParser<[Element]> {
    ValueParser(
        form: "list of: \(element.form)", isList: true,
        parse: { text throws(ValueMistake) in
            var values: [Element] = []
            for part in text.split(separator: ",") where !part.trimmingSpaces.isEmpty {
                values.append(try element.parse(part.trimmingSpaces))
            }
            return values
        }, render: { $0.isEmpty ? "[]" : $0.map(element.render).joined(separator: ", ") })
}

/// A number of bytes as people write it.
struct ByteSize: CustomStringConvertible {
    let bytes: Int

    private static let units: [(name: String, bytes: Int)] = [
        ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000),
    ]

    init(_ bytes: Int) {
        self.bytes = bytes
    }

    /// `1500`, `100 MB`, `64KiB`.
    init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let suffix = text.dropFirst(digits.count).trimmingSpaces.lowercased()
        guard let count = Int(digits) else { return nil }
        let unit = Self.units.first { $0.name.lowercased() == suffix }?.bytes
        guard let factor = suffix.isEmpty || suffix == "b" ? 1 : unit else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        self.bytes = bytes
    }

    var description: String {
        guard bytes > 0, let unit = Self.units.filter({ bytes % $0.bytes == 0 }).max(by: { $0.bytes < $1.bytes })
        else { return String(bytes) }
        return "\(bytes / unit.bytes) \(unit.name)"
    }
}

extension StringProtocol {
    /// The text without white space at its ends.
    var trimmingSpaces: String {
        var bytes = Substring(self)
        while bytes.first?.isWhitespace == true { bytes.removeFirst() }
        while bytes.last?.isWhitespace == true { bytes.removeLast() }
        return String(bytes)
    }
}
