/// One lexicon: the definitions published under an NSID. One that exists keeps the rules of the schema language.
///
/// Whether its references lead anywhere shows only in a `LexiconCatalog`.
///
/// - Spec: https://atproto.com/specs/lexicon (section "Lexicon Files")
package struct LexiconDocument: Sendable, Hashable {
    package let id: NSID
    package let description: String?
    /// By name; the document's own definition is called `main`.
    package let definitions: [String: LexiconDefinition]

    /// Reads a lexicon file.
    ///
    /// - Parameter json: UTF-8, at most 1 MiB.
    /// - Throws: the first rule it breaks, with the path of the field.
    package init(json: [UInt8]) throws(LexiconError) {
        let value: DataValue
        do {
            value = try DataValue(json: json)
        } catch {
            throw LexiconError(.document, path: "", "is not JSON of the data model: \(error)")
        }
        try self.init(value)
    }

    /// Reads a JSON array of lexicons.
    ///
    /// - Parameter json: UTF-8, at most 16 MiB.
    /// - Throws: the first rule that one of them breaks, with its position in the path.
    package static func list(json: [UInt8]) throws(LexiconError) -> [LexiconDocument] {
        let value: DataValue
        do {
            let limits = DataLimits(sizeBytesMax: 16_777_216, valueCountMax: 2_000_000)
            value = try DataValue(json: json, limits: limits)
        } catch {
            throw LexiconError(.document, path: "", "is not JSON of the data model: \(error)")
        }
        guard case .array(let elements) = value else {
            throw LexiconError(.document, path: "", "must be an array of lexicons")
        }
        var documents: [LexiconDocument] = []
        for (index, element) in elements.enumerated() {
            do {
                documents.append(try LexiconDocument(element))
            } catch {
                throw LexiconError(.document, path: "[\(index)].\(error.path)", error.message)
            }
        }
        return documents
    }

    /// Reads a lexicon from a value, such as a record of the collection `com.atproto.lexicon.schema`.
    ///
    /// - Throws: the first rule it breaks, with the path of the field.
    package init(_ value: DataValue) throws(LexiconError) {
        let fields = try LexiconFields(value, path: "")
        guard try fields.required(fields.integer("lexicon"), "lexicon") == 1 else {
            throw fields.fault("lexicon", "must be 1")
        }
        let text = try fields.required(fields.string("id"), "id")
        do {
            id = try NSID(parsing: text)
        } catch {
            throw fields.fault("id", "is an \(error)")
        }
        description = try fields.string("description")
        guard let entries = fields.map["defs"]?.mapValue, !entries.isEmpty else {
            throw fields.fault("defs", "must be an object with at least one definition")
        }
        var definitions: [String: LexiconDefinition] = [:]
        for (name, entry) in entries {
            guard LexiconReference.isName(name) else { throw fields.fault("defs", "holds a malformed name") }
            let parser = LexiconParser(id: id)
            definitions[name] = try parser.definition(entry, name: name, path: "defs.\(name)")
        }
        self.definitions = definitions
    }

    /// The document's own definition.
    package var main: LexiconDefinition? { definitions["main"] }
}

/// A named definition of a document. All but `.data` and `.token` are only ever called `main`.
package enum LexiconDefinition: Sendable, Hashable {
    case record(LexiconRecord)
    case method(LexiconMethodDefinition)
    case permissionSet(LexiconPermissionSet)
    /// A value that exists only to be named.
    case token
    /// A type other definitions refer to; never `.ref`, `.union` or `.unknown`.
    case data(LexiconSchema)
}

/// The schema of a collection's records.
package struct LexiconRecord: Sendable, Hashable {
    package var key: LexiconRecordKey
    package var object: LexiconObject
}

/// Which record keys a collection uses.
///
/// - Spec: https://atproto.com/specs/record-key (section "Record Key Type Definitions")
package enum LexiconRecordKey: Sendable, Hashable {
    case any
    case tid
    case nsid
    /// Exactly this key.
    case literal(RecordKey)

    /// Whether `key` is of this kind.
    package func allows(_ key: RecordKey) -> Bool {
        switch self {
        case .any: true
        case .tid: TID.isValid(key.string)
        case .nsid: NSID.isValid(key.string)
        case .literal(let literal): key == literal
        }
    }
}

/// A query, procedure or subscription.
package struct LexiconMethodDefinition: Sendable, Hashable {
    package var kind: LexiconMethodKind
    package var description: String?
    /// Only booleans, integers, strings and arrays of these; nothing nullable.
    package var parameters: LexiconObject
    /// Only of procedures.
    package var input: LexiconBody?
    /// Of queries and procedures.
    package var output: LexiconBody?
    /// Only of subscriptions.
    package var message: LexiconUnion?
    /// The names of the errors it may answer with, beside the general ones.
    package var errors: [String]
}

/// How a method is called.
package enum LexiconMethodKind: String, Sendable, Hashable {
    /// HTTP GET.
    case query
    /// HTTP POST.
    case procedure
    /// A WebSocket on GET.
    case subscription
}

/// The body of a request or response.
package struct LexiconBody: Sendable, Hashable {
    /// The content types; at least one.
    package var encodings: [MIMEPattern]
    /// Of JSON bodies: an object, a reference or a union; nil when the body is not described further.
    package var schema: LexiconSchema?

    /// Whether a body of this `Content-Type` fits.
    package func accepts(contentType: String) -> Bool {
        encodings.contains { $0.matches(contentType) }
    }

    /// Whether the body is JSON and nothing else.
    package var isJSON: Bool { encodings == [.json] }
}
