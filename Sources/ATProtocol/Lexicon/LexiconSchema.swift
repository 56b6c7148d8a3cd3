/// What a value at one place must look like: the field types of the schema language, as written in a document.
///
/// - Spec: https://atproto.com/specs/lexicon (section "Field Type Definitions")
package indirect enum LexiconSchema: Sendable, Hashable {
    case boolean(LexiconBoolean)
    case integer(LexiconInteger)
    case string(LexiconString)
    case bytes(LexiconBytes)
    case cidLink
    case blob(LexiconBlob)
    case array(LexiconArray)
    case object(LexiconObject)
    case ref(LexiconReference)
    case union(LexiconUnion)
    /// Any object that is not itself a blob.
    case unknown
}

/// The name of a definition: a document and a name in it.
package struct LexiconReference: Sendable, Hashable, CustomStringConvertible {
    package let document: NSID
    /// `main` for the document's own definition.
    package let name: String

    package init(_ document: NSID, name: String = "main") {
        self.document = document
        self.name = name
    }

    /// Reads `nsid`, `nsid#name` or, where `base` is given, `#name` within it; nil when `text` is none of these.
    package init?(_ text: String, in base: NSID? = nil) {
        let parts = text.utf8.split(separator: UInt8(ascii: "#"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first else { return nil }
        let name = parts.count > 1 ? String(Substring(parts[1])) : "main"
        guard Self.isName(name) else { return nil }
        if first.isEmpty {
            guard let base, parts.count > 1 else { return nil }
            self.init(base, name: name)
        } else {
            guard let document = try? NSID(parsing: String(Substring(first))) else { return nil }
            self.init(document, name: name)
        }
    }

    /// As `$type` spells it: `nsid` for the main definition, else `nsid#name`.
    package var description: String { name == "main" ? document.string : "\(document.string)#\(name)" }

    /// Whether `name` may name a definition: 1…128 letters, digits and `.`, `_`, `-`.
    package static func isName(_ name: String) -> Bool {
        (1...128).contains(name.utf8.count)
            && name.utf8.allSatisfy { $0.isASCIIAlphanumeric || "._-".utf8.contains($0) }
    }
}

/// `true` or `false`.
package struct LexiconBoolean: Sendable, Hashable {
    /// What an absent value of parameters or input stands for.
    package var defaultValue: Bool?
    /// The only value allowed.
    package var constant: Bool?
}

/// A signed 64-bit integer.
package struct LexiconInteger: Sendable, Hashable {
    package var minimum: Int64?
    package var maximum: Int64?
    /// The only values allowed.
    package var allowed: [Int64]?
    /// What an absent value of parameters or input stands for.
    package var defaultValue: Int64?
    /// The only value allowed.
    package var constant: Int64?
}

/// A text.
package struct LexiconString: Sendable, Hashable {
    package var format: LexiconStringFormat?
    /// Bounds in bytes of UTF-8.
    package var lengthMin: Int?
    package var lengthMax: Int?
    /// Bounds in extended grapheme clusters.
    package var graphemesMin: Int?
    package var graphemesMax: Int?
    /// Usual values; others are allowed.
    package var knownValues: [String]?
    /// The only values allowed.
    package var allowed: [String]?
    /// What an absent value of parameters or input stands for.
    package var defaultValue: String?
    /// The only value allowed.
    package var constant: String?
}

/// A string of bytes.
package struct LexiconBytes: Sendable, Hashable {
    /// Bounds in bytes.
    package var lengthMin: Int?
    package var lengthMax: Int?
}

/// A mention of a blob.
package struct LexiconBlob: Sendable, Hashable {
    /// The MIME types accepted; nil for all.
    package var accept: [MIMEPattern]?
    package var sizeBytesMax: Int64?
}

/// A list of values that each keep the same schema.
package struct LexiconArray: Sendable, Hashable {
    package var items: LexiconSchema
    /// Bounds in elements.
    package var lengthMin: Int?
    package var lengthMax: Int?
}

/// A map with named fields; it may hold further ones.
package struct LexiconObject: Sendable, Hashable {
    /// One field of an object.
    package struct Property: Sendable, Hashable {
        package var name: String
        package var schema: LexiconSchema
        package var isRequired: Bool
        package var isNullable: Bool
    }

    /// In the canonical order of map keys, each name once.
    package var properties: [Property]
}

/// An object of one of several types, told apart by its `$type`.
package struct LexiconUnion: Sendable, Hashable {
    /// The variants: definitions of objects or records.
    package var variants: [LexiconReference]
    /// Whether only the variants listed are allowed.
    package var isClosed: Bool
}
