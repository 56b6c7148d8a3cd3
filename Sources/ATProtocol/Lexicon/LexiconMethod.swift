/// A query, procedure or subscription, ready to read its parameters and check its bodies.
package struct LexiconMethod: Sendable {
    package let id: NSID
    package let definition: LexiconMethodDefinition
    private let parameters: [ParameterRule]
    private let inputNode: Int?
    private let outputNode: Int?
    private let messageNode: Int?
    private let nodes: [LexiconNode]

    package var kind: LexiconMethodKind { definition.kind }
    /// The request body; nil when the method takes none.
    package var input: LexiconBody? { definition.input }
    /// The response body; nil when the method answers with none.
    package var output: LexiconBody? { definition.output }
    /// The names of its own errors.
    package var errors: [String] { definition.errors }

    /// A method whose nodes lie in a table that is still growing.
    struct Draft {
        let id: NSID
        let definition: LexiconMethodDefinition
        let parameters: [ParameterRule]
        let inputNode: Int?
        let outputNode: Int?
        let messageNode: Int?

        init(id: NSID, _ definition: LexiconMethodDefinition, _ compiler: inout LexiconCompiler) {
            let reference = LexiconReference(id)
            self.id = id
            self.definition = definition
            var parameters: [ParameterRule] = []
            for property in definition.parameters.properties {
                let node = compiler.index(of: property.schema, in: reference)
                if let rule = ParameterRule(property, node: node) { parameters.append(rule) }
            }
            self.parameters = parameters
            inputNode = definition.input?.schema.map { compiler.index(of: $0, in: reference) }
            outputNode = definition.output?.schema.map { compiler.index(of: $0, in: reference) }
            messageNode = definition.message.map { compiler.index(of: .union($0), in: reference) }
        }
    }

    init(_ draft: Draft, _ nodes: [LexiconNode]) {
        id = draft.id
        definition = draft.definition
        parameters = draft.parameters
        inputNode = draft.inputNode
        outputNode = draft.outputNode
        messageNode = draft.messageNode
        self.nodes = nodes
    }

    /// Reads the query string's parameters.
    ///
    /// Booleans are `true` or `false`, integers decimal, arrays repeated keys (also written `key[]` or `key[0]`); parameters
    /// the lexicon does not name are ignored; absent and empty ones get their default.
    ///
    /// - Parameter parameters: names and values, percent-decoded, in order; a name may repeat.
    /// - Throws: the first rule broken, with the parameter's name.
    package func parse(parameters pairs: [(String, String)]) throws(LexiconError) -> DataMap {
        var result = DataMap()
        for rule in parameters {
            var values: [DataValue] = []
            // An empty value is none, as the reference implementation has it.
            for (name, text) in pairs where !text.isEmpty && rule.isNamed(name) {
                guard let value = rule.value(of: text) else {
                    throw LexiconError(.parameters, path: rule.name, "must be \(rule.scalar.phrase)")
                }
                values.append(value)
            }
            guard let value = try rule.combine(values) else { continue }
            var validator = LexiconValidator(nodes, blobHandling: .ignored)
            do throws(LexiconFault) {
                try validator.validate(value, rule.node)
            } catch {
                throw error.inside(.field(rule.name)).error(.parameters)
            }
            result[rule.name] = value
        }
        return result
    }

    /// Checks a JSON request body.
    ///
    /// - Returns: the body, with the defaults of absent top-level fields filled in.
    /// - Throws: the first rule broken. A method without a schema for its input takes anything.
    @discardableResult
    package func validate(input: DataValue) throws(LexiconError) -> DataValue {
        guard let inputNode else { return input }
        try validate(input, inputNode, .input)
        guard case .map(var map) = input, case .object(let rule) = nodes[inputNode], !rule.defaults.isEmpty else {
            return input
        }
        for (name, value) in rule.defaults where map[name] == nil { map[name] = value }
        return .map(map)
    }

    /// Checks a JSON response body. A method without a schema for its output gives anything.
    package func validate(output: DataValue) throws(LexiconError) {
        guard let outputNode else { return }
        try validate(output, outputNode, .output)
    }

    /// Checks a message of a subscription.
    ///
    /// - Parameter type: the variant as the frame's header names it, `#commit`, or in full.
    package func validate(message: DataValue, type: String) throws(LexiconError) {
        guard let messageNode, case .union(let rule) = nodes[messageNode] else { return }
        let name = type.utf8.first == UInt8(ascii: "#") ? id.string + type : type
        guard let variant = rule.variants.first(where: { canonicalOrder($0.type, name) == 0 }) else {
            guard rule.isClosed else { return }
            throw LexiconError(.message, path: "", "must not be of the type \(type)")
        }
        try validate(message, variant.node, .message)
    }

    private func validate(
        _ value: DataValue, _ node: Int, _ subject: LexiconError.Subject
    ) throws(LexiconError) {
        var validator = LexiconValidator(nodes, blobHandling: .ignored)
        do throws(LexiconFault) {
            try validator.validate(value, node)
        } catch {
            throw error.error(subject)
        }
    }
}

/// How one query parameter is read.
struct ParameterRule: Sendable {
    enum Scalar: Sendable {
        case boolean
        case integer
        case string

        var phrase: String {
            switch self {
            case .boolean: "true or false"
            case .integer: "an integer"
            case .string: "a string"
            }
        }
    }

    let name: String
    let scalar: Scalar
    let node: Int
    private let isArray: Bool
    private let isRequired: Bool
    private let defaultValue: DataValue?

    /// Nil for a type that parameters cannot have; the parser lets none through.
    init?(_ property: LexiconObject.Property, node: Int) {
        var schema = property.schema
        if case .array(let array) = schema {
            isArray = true
            schema = array.items
        } else {
            isArray = false
        }
        switch schema {
        case .boolean: scalar = .boolean
        case .integer: scalar = .integer
        case .string: scalar = .string
        case .bytes, .cidLink, .blob, .array, .object, .ref, .union, .unknown: return nil
        }
        name = property.name
        isRequired = property.isRequired
        defaultValue = property.schema.defaultValue
        self.node = node
    }

    /// Whether a key of the query string names this parameter: its name, or `name[]` or `name[0]` for an array.
    func isNamed(_ key: String) -> Bool {
        if canonicalOrder(key, name) == 0 { return true }
        guard isArray else { return false }
        let (bytes, prefix) = (key.utf8.span, name.utf8.span)
        guard bytes.count >= prefix.count + 2, bytes[prefix.count] == UInt8(ascii: "["),
            bytes[bytes.count - 1] == UInt8(ascii: "]")
        else { return false }
        for index in 0..<prefix.count where bytes[index] != prefix[index] { return false }
        for index in (prefix.count + 1)..<(bytes.count - 1) where !bytes[index].isASCIIDigit { return false }
        return true
    }

    /// One value; nil when the text is not of the type.
    func value(of text: String) -> DataValue? {
        switch scalar {
        case .string: return .string(text)
        case .boolean:
            switch text {
            case "true": return true
            case "false": return false
            default: return nil
            }
        case .integer:
            // Int64 would take a plus sign, too.
            guard let first = text.utf8.first, first.isASCIIDigit || first == UInt8(ascii: "-"),
                let integer = Int64(text)
            else { return nil }
            return .integer(integer)
        }
    }

    /// The parameter's value out of all that were given; nil when it is absent and may be.
    func combine(_ values: [DataValue]) throws(LexiconError) -> DataValue? {
        guard let first = values.first else {
            if let defaultValue { return defaultValue }
            guard !isRequired else { throw LexiconError(.parameters, path: name, "is required") }
            return nil
        }
        if isArray { return .array(values) }
        guard values.count == 1 else { throw LexiconError(.parameters, path: name, "must not be given more than once") }
        return first
    }
}
