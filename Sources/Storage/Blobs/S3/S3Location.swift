package import ATProtocol

/// A bucket, who holds it, and the prefix under which our keys lie: `s3://bucket/prefix?endpoint=…&region=…`.
package struct S3Location: Sendable, Hashable, CustomStringConvertible {
    /// Where the bucket's name stands in an address.
    package enum Style: String, Sendable, Hashable {
        /// In the path, `https://endpoint/bucket/key`: every server of one's own.
        case path
        /// In the host, `https://bucket.endpoint/key`: Amazon, and those that ask for it.
        case host
    }

    package let bucket: String
    /// Empty, or ending in `/`.
    package let prefix: String
    package let region: String
    /// What requests are sent to, the bucket's name included where the style wants that.
    package let origin: ServiceOrigin
    private let style: Style
    private let query: String

    /// What is wrong with a text; reads after “is not ”. Never holds a part of the text.
    package struct Mistake: Error, Sendable, Hashable {
        package let expected: String
    }

    /// Reads a location. Without `endpoint` it is Amazon's; `region` is `us-east-1` unless given; `style` (`path` or
    /// `host`) is `path` for endpoints of one's own and for buckets with dots, which no certificate covers.
    /// - Throws: `Mistake`. Credentials have no place here and are refused: addresses are shown and logged.
    package init(parsing text: String) throws(Mistake) {
        guard text.hasPrefix("s3://"), text.utf8.count <= 1000 else { throw Self.form }
        let parts = text.dropFirst(5).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let names = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard !text.contains("@") else { throw Mistake(expected: "to hold credentials: they have keys of their own") }
        guard Self.isBucket(names[0]) else {
            throw Mistake(expected: "of the form s3://BUCKET: a name has 3 to 63 of a-z, 0-9, - and .")
        }
        bucket = String(names[0])
        prefix = try Self.prefix(names.count > 1 ? names[1] : "")
        var values: [String: String] = [:]
        for pair in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2, ["endpoint", "region", "style"].contains(String(halves[0])),
                let value = PercentEncoding.decode(halves[1]),
                values.updateValue(value, forKey: String(halves[0])) == nil
            else { throw Mistake(expected: "understood: after ? stand endpoint=, region= and style=, each once") }
        }
        region = values["region"] ?? "us-east-1"
        guard !region.isEmpty, region.utf8.count <= 64, region.utf8.allSatisfy(Self.isRegionByte) else {
            throw Mistake(expected: "understood: region= is a name such as eu-central-1")
        }
        let style =
            values["style"].map(Style.init(rawValue:))
            ?? .some(
                values["endpoint"] != nil || bucket.contains(".") ? .path : .host)
        guard let style else { throw Mistake(expected: "understood: style= is path or host") }
        guard let endpoint = ServiceOrigin(values["endpoint"] ?? "https://s3.\(region).amazonaws.com"),
            let origin = style == .path ? endpoint : Self.origin(endpoint, bucket: bucket)
        else { throw Mistake(expected: "understood: endpoint= is an address such as https://storage.example.com") }
        self.style = style
        self.origin = origin
        query = parts.count > 1 ? "?" + parts[1] : ""
    }

    /// As it was written, a final `/` aside.
    package var description: String { "s3://\(bucket)\(prefix.isEmpty ? "" : "/" + prefix.dropLast())\(query)" }

    /// `host` or `host:port`, as the Host header has it.
    var authority: String { origin.host + (origin.port.map { ":\($0)" } ?? "") }

    /// The path of an object, or of the bucket for nil; not percent-encoded.
    func path(of key: String?) -> String {
        switch style {
        case .path: "/" + bucket + (key.map { "/" + $0 } ?? "")
        case .host: "/" + (key ?? "")
        }
    }

    private static let form = Mistake(expected: "of the form s3://BUCKET/PREFIX?endpoint=URL&region=NAME")

    private static func origin(_ endpoint: ServiceOrigin, bucket: String) -> ServiceOrigin? {
        ServiceOrigin(
            "\(endpoint.scheme.rawValue)://\(bucket).\(endpoint.host)\(endpoint.port.map { ":\($0)" } ?? "")")
    }

    private static func isBucket(_ name: Substring) -> Bool {
        (3...63).contains(name.utf8.count) && name.utf8.allSatisfy(isRegionByte) && !name.contains("..")
            && !name.hasPrefix(".") && !name.hasPrefix("-") && !name.hasSuffix(".") && !name.hasSuffix("-")
    }

    private static func isRegionByte(_ byte: UInt8) -> Bool {
        (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x2d || byte == 0x2e
    }

    /// Only what no server and no proxy rewrites; so no key ever needs to be percent-encoded.
    private static func prefix(_ text: Substring) throws(Mistake) -> String {
        let names = text.split(separator: "/")
        guard text.utf8.count <= 200, names.allSatisfy({ $0 != "." && $0 != ".." }),
            text.utf8.allSatisfy({ PercentEncoding.isUnreserved($0) || $0 == UInt8(ascii: "/") })
        else {
            throw Mistake(expected: "understood: a prefix has names of a-z, A-Z, 0-9, -, ., _ and ~ with / between")
        }
        return names.isEmpty ? "" : names.joined(separator: "/") + "/"
    }
}

/// RFC 3986 section 2, with the set of characters that AWS signs: everything but unreserved ones is encoded.
enum PercentEncoding {
    static func isUnreserved(_ byte: UInt8) -> Bool {
        (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte)
            || byte == 0x2d || byte == 0x2e || byte == 0x5f || byte == 0x7e
    }

    static func encode(_ text: String, keepingSlashes: Bool = false) -> String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            if isUnreserved(byte) || keepingSlashes && byte == UInt8(ascii: "/") {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), digit(byte >> 4), digit(byte & 15)]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    /// The text meant, or nil for a `%` without two digits or for bytes that are no UTF-8.
    static func decode(_ text: Substring) -> String? {
        let bytes = Array(text.utf8)
        var decoded: [UInt8] = []
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "%") else {
                decoded.append(bytes[index])
                index += 1
                continue
            }
            guard index + 2 < bytes.count, let high = value(bytes[index + 1]), let low = value(bytes[index + 2]) else {
                return nil
            }
            decoded.append(high << 4 | low)
            index += 3
        }
        return String(validating: decoded, as: UTF8.self)
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x41 + value - 10 }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}
