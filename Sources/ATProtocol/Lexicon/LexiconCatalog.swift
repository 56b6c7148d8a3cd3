/// A set of lexicons, compiled for checking: a value, made once and shared by everyone.
///
/// Making it takes a few milliseconds for hundreds of documents; checking with it looks nothing up by name but the
/// method, collection or definition asked for.
package struct LexiconCatalog: Sendable {
    /// The documents, by NSID.
    package let documents: [NSID: LexiconDocument]
    /// References between the documents that lead to nothing or to what has no values; empty in a complete set.
    package let faults: [String]

    let nodes: [LexiconNode]
    private let entries: [LexiconReference: Int]
    private let records: [NSID: RecordSchema]
    private let methodsByID: [NSID: LexiconMethod]

    /// What records of one collection are held against.
    struct RecordSchema: Sendable {
        let key: LexiconRecordKey
        let node: Int
    }

    /// Compiles `documents`; of several with one NSID the last counts.
    package init(documents: [LexiconDocument]) {
        let byID = Dictionary(documents.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        var compiler = LexiconCompiler(byID)
        compiler.compile()
        var records: [NSID: RecordSchema] = [:]
        var drafts: [LexiconMethod.Draft] = []
        for (id, document) in byID.sorted(by: { $0.key < $1.key }) {
            switch document.main {
            case .record(let record):
                guard let node = compiler.entries[LexiconReference(id)] else { continue }
                records[id] = RecordSchema(key: record.key, node: node)
            case .method(let definition):
                drafts.append(LexiconMethod.Draft(id: id, definition, &compiler))
            case .permissionSet, .token, .data, nil: break
            }
        }
        let nodes = compiler.nodes
        self.documents = byID
        self.nodes = nodes
        self.records = records
        entries = compiler.entries
        faults = compiler.faults
        methodsByID = Dictionary(
            drafts.map { ($0.id, LexiconMethod($0, nodes)) }, uniquingKeysWith: { first, _ in first })
    }

    /// This catalog with more documents, which take the place of those with the same NSID.
    package func adding(_ more: [LexiconDocument]) -> LexiconCatalog {
        LexiconCatalog(documents: Array(documents.values) + more)
    }

    /// The definition called `reference`: `nsid`, or `nsid#name`.
    package func definition(_ reference: String) -> LexiconDefinition? {
        guard let reference = LexiconReference(reference) else { return nil }
        return documents[reference.document]?.definitions[reference.name]
    }

    /// The query, procedure or subscription called `id`.
    package func method(_ id: NSID) -> LexiconMethod? { methodsByID[id] }

    /// All queries, procedures and subscriptions, by name.
    package var methods: [LexiconMethod] { methodsByID.values.sorted { $0.id < $1.id } }

    /// The permission set called `id`.
    package func permissionSet(_ id: NSID) -> LexiconPermissionSet? {
        guard case .permissionSet(let set)? = documents[id]?.main else { return nil }
        return set
    }

    /// Which record keys `collection` uses; nil when its schema is not known.
    package func recordKey(of collection: NSID) -> LexiconRecordKey? { records[collection]?.key }

    func recordSchema(_ collection: NSID) -> RecordSchema? { records[collection] }

    /// Checks a value against the definition called `reference`, e.g. `com.atproto.label.defs#label`.
    ///
    /// - Throws: the first rule broken; `.unknownSchema` when there is no such definition, or it has no values.
    package func validate(
        _ value: DataValue, as reference: String, subject: LexiconError.Subject = .record
    ) throws(LexiconError) {
        guard let reference = LexiconReference(reference), let entry = entries[reference] else {
            throw LexiconError(
                subject, rule: .unknownSchema, path: "", "cannot be validated: \(reference) is not a known type")
        }
        var validator = LexiconValidator(nodes, blobHandling: .ignored)
        do throws(LexiconFault) {
            try validator.validate(value, entry)
        } catch {
            throw error.error(subject)
        }
    }
}
