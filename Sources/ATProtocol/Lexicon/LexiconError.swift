package import Base

/// Why a lexicon document, or a value held against one, is refused: the first rule it breaks and where.
package struct LexiconError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What was judged.
    package enum Subject: String, Sendable, Hashable {
        case document = "lexicon"
        case record
        case parameters
        case input
        case output
        case message
    }

    /// Which kind of rule was broken.
    package enum Rule: Sendable, Hashable {
        /// The shape, the type or a constraint of the schema.
        case schema
        /// Validation was demanded but no schema is known.
        case unknownSchema
        /// A blob's MIME type is not among those accepted.
        case blobType
        /// A blob is larger than allowed.
        case blobSize
    }

    package let subject: Subject
    package let rule: Rule
    /// The field, such as `embed.images[0].alt`; empty for the value as a whole.
    package let path: String
    /// What is wrong with the field, as a predicate: `must be a string`.
    package let message: String

    package init(_ subject: Subject, rule: Rule = .schema, path: String, _ message: String) {
        self.subject = subject
        self.rule = rule
        self.path = path
        self.message = message
    }

    package var description: String {
        "invalid \(subject.rawValue): \(path.isEmpty ? "" : path + " ")\(message)"
    }
}

extension LexiconError: WireConvertible {
    package var wire: WireFailure {
        switch subject {
        case .output, .message:
            // Our own answer broke our own contract; the caller can do nothing with the details.
            return WireFailure(status: 500, error: "InternalServerError", message: "Internal server error")
        case .document, .record, .parameters, .input:
            let name =
                switch rule {
                case .schema, .unknownSchema: "InvalidRequest"
                case .blobType: "InvalidMimeType"
                case .blobSize: "InvalidSize"
                }
            return WireFailure(status: 400, error: name, message: description)
        }
    }
}
