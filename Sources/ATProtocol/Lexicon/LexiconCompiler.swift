/// Turns documents into the table of nodes that values are checked against.
struct LexiconCompiler {
    private let documents: [NSID: LexiconDocument]
    private(set) var nodes: [LexiconNode] = []
    /// Where the definitions that have values begin.
    private(set) var entries: [LexiconReference: Int] = [:]
    /// References that lead to nothing or to what has no values, with the definition they stand in.
    private(set) var faults: [String] = []
    private var current: LexiconReference?

    init(_ documents: [NSID: LexiconDocument]) {
        self.documents = documents
    }

    /// Compiles all definitions, in a fixed order.
    mutating func compile() {
        let ordered = documents.values.sorted { $0.id < $1.id }
        var references: [(LexiconReference, LexiconDefinition)] = []
        for document in ordered {
            for (name, definition) in document.definitions.sorted(by: { $0.key < $1.key }) {
                references.append((LexiconReference(document.id, name: name), definition))
            }
        }
        // Every definition has its place before any is compiled, so that they may refer to one another in circles.
        for (reference, definition) in references {
            switch definition {
            case .record, .data: entries[reference] = add(.unknown)
            case .method, .permissionSet, .token: break
            }
        }
        for (reference, definition) in references {
            guard let entry = entries[reference] else { continue }
            current = reference
            switch definition {
            case .record(let record):
                nodes[entry] = .record(type: reference.description, object: add(object(record.object)))
            case .data(let schema): nodes[entry] = node(schema)
            case .method, .permissionSet, .token: break
            }
        }
    }

    /// The index of the node that checks `schema`, which stands in the definition `reference`.
    mutating func index(of schema: LexiconSchema, in reference: LexiconReference) -> Int {
        current = reference
        return index(of: schema)
    }

    private mutating func add(_ node: LexiconNode) -> Int {
        nodes.append(node)
        return nodes.count - 1
    }

    private mutating func index(of schema: LexiconSchema) -> Int {
        if case .ref(let reference) = schema { return target(of: reference) }
        return add(node(schema))
    }

    private mutating func node(_ schema: LexiconSchema) -> LexiconNode {
        switch schema {
        case .boolean(let boolean): return .boolean(constant: boolean.constant)
        case .integer(let integer): return .integer(IntegerRule(integer))
        case .string(let string): return .string(StringRule(string))
        case .bytes(let bytes): return .bytes(lengthRange(bytes.lengthMin, bytes.lengthMax))
        case .cidLink: return .link
        case .blob(let blob): return .blob(blob)
        case .array(let array):
            return .array(item: index(of: array.items), lengthRange(array.lengthMin, array.lengthMax))
        case .object(let object): return self.object(object)
        // Followed by `index(of:)`; nowhere else does the parser let one stand.
        case .ref(let reference): return .impossible("\(reference), in the place of a definition")
        case .union(let union): return self.union(union)
        case .unknown: return .unknown
        }
    }

    private mutating func object(_ object: LexiconObject) -> LexiconNode {
        var properties: [ObjectRule.Property] = []
        var defaults: [(name: String, value: DataValue)] = []
        for property in object.properties {
            properties.append(
                ObjectRule.Property(
                    name: property.name, node: index(of: property.schema), isRequired: property.isRequired,
                    isNullable: property.isNullable))
            if let value = property.schema.defaultValue { defaults.append((property.name, value)) }
        }
        return .object(ObjectRule(properties: properties, defaults: defaults))
    }

    private mutating func union(_ union: LexiconUnion) -> LexiconNode {
        var variants: [(type: String, node: Int)] = []
        for reference in union.variants {
            var index = target(of: reference)
            if case .data(let schema)? = documents[reference.document]?.definitions[reference.name] {
                switch schema {
                case .object: break
                default: index = misdirected(reference, "something that is not an object")
                }
            }
            variants.append((reference.description, index))
        }
        return .union(UnionRule(variants: variants, isClosed: union.isClosed))
    }

    private mutating func target(of reference: LexiconReference) -> Int {
        if let entry = entries[reference] { return entry }
        switch documents[reference.document]?.definitions[reference.name] {
        case .token: return misdirected(reference, "a token")
        case .method: return misdirected(reference, "a method")
        case .permissionSet: return misdirected(reference, "a permission set")
        case .record, .data, nil:
            faults.append("\(current?.description ?? "") refers to \(reference), which is not in the catalog")
            return add(.unresolved)
        }
    }

    private mutating func misdirected(_ reference: LexiconReference, _ what: String) -> Int {
        faults.append("\(current?.description ?? "") refers to \(reference), which is \(what)")
        return add(.impossible("\(reference), which is \(what)"))
    }
}

extension LexiconSchema {
    /// What an absent value stands for, where the schema says so.
    var defaultValue: DataValue? {
        // With `return`: the `nil` of a switch expression might be the literal of DataValue, that is null.
        switch self {
        case .boolean(let boolean): return boolean.defaultValue.map(DataValue.boolean)
        case .integer(let integer): return integer.defaultValue.map(DataValue.integer)
        case .string(let string): return string.defaultValue.map(DataValue.string)
        case .bytes, .cidLink, .blob, .array, .object, .ref, .union, .unknown: return nil
        }
    }
}
