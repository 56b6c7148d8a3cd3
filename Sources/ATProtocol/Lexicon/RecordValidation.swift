/// How much a record is held against its schema: the field `validate` of the methods that write records.
///
/// - Spec: https://atproto.com/specs/lexicon (section "Validation Options")
package enum RecordValidationMode: Sendable, Hashable {
    /// `true`: an unknown schema is an error.
    case required
    /// Absent: known schemas are enforced, others pass as unknown.
    case whenKnown
    /// `false`: only what holds for every record is checked.
    case skipped
}

/// What came of checking a record.
package enum RecordValidation: Sendable, Hashable {
    /// It keeps its schema.
    case valid(CheckedRecord)
    /// Its schema, or a part of it, is not known; it keeps the rules for every record.
    case unknown(CheckedRecord)
    /// It was not held against a schema; it keeps the rules for every record.
    case skipped(CheckedRecord)
    case invalid(LexiconError)

    /// The record, unless it is invalid.
    package func record() throws(LexiconError) -> CheckedRecord {
        switch self {
        case .valid(let record), .unknown(let record), .skipped(let record): return record
        case .invalid(let error): throw error
        }
    }

    /// The field `validationStatus` of the answer; nil when there is nothing to say.
    package var status: String? {
        switch self {
        case .valid: "valid"
        case .unknown: "unknown"
        case .skipped, .invalid: nil
        }
    }
}

/// A record that may be written.
package struct CheckedRecord: Sendable, Hashable {
    /// The record, with `$type`.
    package let value: DataValue
    /// The blobs it mentions, in order of appearance; one may appear more than once.
    package let blobs: [RecordBlob]
}

/// A blob that a record mentions, and what its place demands. The declared size and type have been checked; that they
/// are those of the stored blob is for the caller to see.
package struct RecordBlob: Sendable, Hashable {
    package let reference: BlobReference
    /// Such as `embed.images[0].image`.
    package let path: String
    /// The MIME types allowed here; nil for all.
    package let accept: [MIMEPattern]?
    /// Nil for any size.
    package let sizeBytesMax: Int64?

    init(_ found: LexiconValidator.FoundBlob) {
        reference = found.reference
        path = LexiconPathStep.text(found.path)
        accept = found.rule?.accept
        sizeBytesMax = found.rule?.sizeBytesMax
    }
}

extension LexiconCatalog {
    /// Checks a record before it is written to `collection`.
    ///
    /// In every mode: it is an object, its `$type` is the collection's NSID (filled in when absent), it keeps the rules of
    /// the data model (`RecordShape`), and holds no blob of the legacy form. Where a schema is known and not skipped also
    /// the record key's kind and the schema itself; fields the schema does not name are let through.
    ///
    /// - Parameter key: nil while it is not settled; then its kind is not checked.
    /// - Complexity: O(size of the record).
    package func validateRecord(
        _ value: DataValue, collection: NSID, key: RecordKey?, mode: RecordValidationMode = .whenKnown
    ) -> RecordValidation {
        do throws(LexiconError) {
            return try validatedRecord(value, collection: collection, key: key, mode: mode)
        } catch {
            return .invalid(error)
        }
    }

    private func validatedRecord(
        _ value: DataValue, collection: NSID, key: RecordKey?, mode: RecordValidationMode
    ) throws(LexiconError) -> RecordValidation {
        let record = try typed(value, collection)
        let schema = mode == .skipped ? nil : recordSchema(collection)
        if mode == .required, schema == nil {
            throw LexiconError(
                .record, rule: .unknownSchema, path: "", "cannot be validated: no lexicon of \(collection) is known")
        }
        if let schema, let key, !schema.key.allows(key) {
            throw LexiconError(.record, path: "", "must have a record key of the kind \(schema.key)")
        }
        var validator = LexiconValidator(nodes, blobHandling: .collected)
        do throws(LexiconFault) {
            if let schema {
                try validator.validate(record, schema.node)
            } else {
                try validator.unchecked(record, depth: 0)
            }
        } catch {
            throw error.error(.record)
        }
        do {
            try RecordShape.check(record)
        } catch {
            if case .invalidShape(let path, let message) = error {
                throw LexiconError(.record, path: path, message)
            }
            throw LexiconError(.record, path: "", "is malformed: \(error)")
        }
        let checked = CheckedRecord(value: record, blobs: validator.blobs.map(RecordBlob.init))
        if mode == .skipped { return .skipped(checked) }
        if schema != nil, validator.isComplete { return .valid(checked) }
        guard mode != .required else {
            throw LexiconError(
                .record, rule: .unknownSchema, path: "",
                "cannot be validated: a lexicon that \(collection) refers to is not known")
        }
        return .unknown(checked)
    }

    private func typed(_ value: DataValue, _ collection: NSID) throws(LexiconError) -> DataValue {
        guard case .map(var map) = value else { throw LexiconError(.record, path: "", "must be an object") }
        switch map["$type"] {
        case nil:
            map["$type"] = .string(collection.string)
            return .map(map)
        case .string(collection.string): return value
        default: throw LexiconError(.record, path: "$type", "must be \(collection)")
        }
    }
}
