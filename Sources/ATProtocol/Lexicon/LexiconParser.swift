/// Reads the definitions of one document.
struct LexiconParser {
    let id: NSID

    /// How deep schemas may nest; deeper documents are refused.
    static let depthMax = 32

    func definition(_ value: DataValue, name: String, path: String) throws(LexiconError) -> LexiconDefinition {
        let fields = try LexiconFields(value, path: path)
        let type = try fields.required(fields.string("type"), "type")
        _ = try fields.string("description")
        let definition: LexiconDefinition
        switch type {
        case "record": definition = .record(try record(fields))
        case "query": definition = .method(try method(fields, .query))
        case "procedure": definition = .method(try method(fields, .procedure))
        case "subscription": definition = .method(try method(fields, .subscription))
        case "permission-set": definition = .permissionSet(try LexiconPermissionSet(fields, of: id))
        case "token": return .token
        case "ref", "union", "unknown", "params", "permission":
            throw fields.fault("type", "must not be \(type) in a named definition")
        default: return .data(try schema(value, path: path, depth: 0))
        }
        guard name == "main" else { throw fields.fault("type", "must not be \(type) other than in main") }
        return definition
    }

    // MARK: - Primary definitions

    private func record(_ fields: LexiconFields) throws(LexiconError) -> LexiconRecord {
        let text = try fields.required(fields.string("key"), "key")
        let key: LexiconRecordKey
        switch text {
        case "any": key = .any
        case "tid": key = .tid
        case "nsid": key = .nsid
        default:
            let prefix = "literal:"
            guard text.hasPrefix(prefix), let literal = try? RecordKey(parsing: String(text.dropFirst(prefix.count)))
            else { throw fields.fault("key", "must be any, tid, nsid or literal: and a record key") }
            key = .literal(literal)
        }
        let path = fields.path("record")
        guard case .object(let object) = try schema(fields.map["record"], path: path, depth: 0) else {
            throw fields.fault("record", "must be of type object")
        }
        return LexiconRecord(key: key, object: object)
    }

    private func method(
        _ fields: LexiconFields, _ kind: LexiconMethodKind
    ) throws(LexiconError) -> LexiconMethodDefinition {
        var method = LexiconMethodDefinition(
            kind: kind, description: try fields.string("description"), parameters: LexiconObject(properties: []),
            errors: try errors(fields))
        if let parameters = fields.map["parameters"] {
            method.parameters = try self.parameters(parameters, path: fields.path("parameters"))
        }
        if fields.map["input"] != nil {
            guard kind == .procedure else { throw fields.fault("input", "is only for procedures") }
            method.input = try body(fields, "input")
        }
        if fields.map["output"] != nil {
            guard kind != .subscription else { throw fields.fault("output", "is not for subscriptions") }
            method.output = try body(fields, "output")
        }
        if kind == .subscription {
            let message = try LexiconFields(fields.map["message"], path: fields.path("message"))
            let path = message.path("schema")
            guard case .union(let union) = try schema(message.map["schema"], path: path, depth: 0) else {
                throw message.fault("schema", "must be a union")
            }
            method.message = union
        }
        return method
    }

    private func parameters(_ value: DataValue, path: String) throws(LexiconError) -> LexiconObject {
        let fields = try LexiconFields(value, path: path)
        guard try fields.string("type") == "params" else { throw fields.fault("type", "must be params") }
        let object = try self.object(fields, isNullableAllowed: false, depth: 0)
        for property in object.properties {
            switch property.schema {
            case .boolean, .integer, .string: continue
            case .array(let array):
                switch array.items {
                case .boolean, .integer, .string: continue
                default: break
                }
            default: break
            }
            throw fields.fault(
                "properties.\(property.name)", "must be a boolean, an integer, a string or an array of one of these")
        }
        return object
    }

    private func body(_ fields: LexiconFields, _ key: String) throws(LexiconError) -> LexiconBody {
        let body = try LexiconFields(fields.map[key], path: fields.path(key))
        let text = try body.required(body.string("encoding"), "encoding")
        var encodings: [MIMEPattern] = []
        for part in text.split(separator: ",") {
            guard let encoding = MIMEPattern(part.trimmingSpaces) else {
                throw body.fault("encoding", "must be a MIME type")
            }
            encodings.append(encoding)
        }
        guard !encodings.isEmpty else { throw body.fault("encoding", "must be a MIME type") }
        guard let value = body.map["schema"] else { return LexiconBody(encodings: encodings, schema: nil) }
        let schema = try schema(value, path: body.path("schema"), depth: 0)
        switch schema {
        case .object, .ref, .union: return LexiconBody(encodings: encodings, schema: schema)
        default: throw body.fault("schema", "must be an object, a ref or a union")
        }
    }

    private func errors(_ fields: LexiconFields) throws(LexiconError) -> [String] {
        var names: [String] = []
        for (index, value) in (try fields.array("errors") ?? []).enumerated() {
            let error = try LexiconFields(value, path: "\(fields.path("errors"))[\(index)]")
            let name = try error.required(error.string("name"), "name")
            guard !name.isEmpty, !name.unicodeScalars.contains(where: \.properties.isWhitespace) else {
                throw error.fault("name", "must be a name without white space")
            }
            names.append(name)
        }
        return names
    }
}

extension Substring {
    /// The text without spaces at its ends.
    fileprivate var trimmingSpaces: String {
        var bytes = utf8[...]
        while bytes.first == 0x20 { bytes.removeFirst() }
        while bytes.last == 0x20 { bytes.removeLast() }
        return String(Substring(bytes))
    }
}
