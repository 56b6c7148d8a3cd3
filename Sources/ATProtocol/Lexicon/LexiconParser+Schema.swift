extension LexiconParser {
    /// Reads a field type.
    ///
    /// - Parameter depth: how many schemas it lies within.
    func schema(_ value: DataValue?, path: String, depth: Int) throws(LexiconError) -> LexiconSchema {
        let fields = try LexiconFields(value, path: path)
        guard depth < Self.depthMax else { throw LexiconError(.document, path: path, "is nested too deep") }
        let type = try fields.required(fields.string("type"), "type")
        switch type {
        case "boolean": return .boolean(try boolean(fields))
        case "integer": return .integer(try integer(fields))
        case "string": return .string(try string(fields))
        case "bytes":
            let (lower, upper) = try fields.bounds("minLength", "maxLength")
            return .bytes(LexiconBytes(lengthMin: lower, lengthMax: upper))
        case "cid-link": return .cidLink
        case "blob": return .blob(try blob(fields))
        case "array":
            let (lower, upper) = try fields.bounds("minLength", "maxLength")
            let items = try schema(fields.map["items"], path: fields.path("items"), depth: depth + 1)
            return .array(LexiconArray(items: items, lengthMin: lower, lengthMax: upper))
        case "object": return .object(try object(fields, isNullableAllowed: true, depth: depth))
        case "ref": return .ref(try reference(fields.required(fields.string("ref"), "ref"), fields, "ref"))
        case "union": return .union(try union(fields))
        case "unknown": return .unknown
        default: throw fields.fault("type", "must be a field type")
        }
    }

    /// Reads `properties`, `required` and, where allowed, `nullable`.
    func object(
        _ fields: LexiconFields, isNullableAllowed: Bool, depth: Int
    ) throws(LexiconError) -> LexiconObject {
        let required = Set(try fields.strings("required") ?? [])
        let nullable = Set(try fields.strings("nullable") ?? [])
        guard isNullableAllowed || nullable.isEmpty else { throw fields.fault("nullable", "is not for parameters") }
        var object = LexiconObject(properties: [])
        if let value = fields.map["properties"] {
            let path = fields.path("properties")
            for (name, entry) in try LexiconFields(value, path: path).map {
                object.properties.append(
                    LexiconObject.Property(
                        name: name, schema: try schema(entry, path: "\(path).\(name)", depth: depth + 1),
                        isRequired: required.contains(name), isNullable: nullable.contains(name)))
            }
        }
        let names = Set(object.properties.map(\.name))
        guard required.isSubset(of: names) else { throw fields.fault("required", "names a field without a schema") }
        guard nullable.isSubset(of: names) else { throw fields.fault("nullable", "names a field without a schema") }
        return object
    }

    private func boolean(_ fields: LexiconFields) throws(LexiconError) -> LexiconBoolean {
        let boolean = LexiconBoolean(
            defaultValue: try fields.boolean("default"), constant: try fields.boolean("const"))
        try checkExclusive(fields)
        return boolean
    }

    private func integer(_ fields: LexiconFields) throws(LexiconError) -> LexiconInteger {
        let integer = LexiconInteger(
            minimum: try fields.integer("minimum"), maximum: try fields.integer("maximum"),
            allowed: try fields.integers("enum"), defaultValue: try fields.integer("default"),
            constant: try fields.integer("const"))
        try checkExclusive(fields)
        if let minimum = integer.minimum, let maximum = integer.maximum, minimum > maximum {
            throw fields.fault("minimum", "is greater than maximum")
        }
        for (key, value) in [("default", integer.defaultValue), ("const", integer.constant)] {
            guard let value else { continue }
            guard value >= integer.minimum ?? .min, value <= integer.maximum ?? .max,
                integer.allowed?.contains(value) ?? true
            else { throw fields.fault(key, "is not a value the schema allows") }
        }
        return integer
    }

    private func string(_ fields: LexiconFields) throws(LexiconError) -> LexiconString {
        let (lengthMin, lengthMax) = try fields.bounds("minLength", "maxLength")
        let (graphemesMin, graphemesMax) = try fields.bounds("minGraphemes", "maxGraphemes")
        var string = LexiconString(
            lengthMin: lengthMin, lengthMax: lengthMax, graphemesMin: graphemesMin, graphemesMax: graphemesMax,
            knownValues: try fields.strings("knownValues"), allowed: try fields.strings("enum"),
            defaultValue: try fields.string("default"), constant: try fields.string("const"))
        if let name = try fields.string("format") {
            guard let format = LexiconStringFormat(rawValue: name) else {
                throw fields.fault("format", "must be a string format")
            }
            string.format = format
        }
        try checkExclusive(fields)
        var bounds = string
        bounds.constant = nil
        let rule = StringRule(bounds)
        for (key, value) in [("default", string.defaultValue), ("const", string.constant)] {
            guard let value, rule.fault(value) != nil else { continue }
            throw fields.fault(key, "is not a value the schema allows")
        }
        return string
    }

    private func blob(_ fields: LexiconFields) throws(LexiconError) -> LexiconBlob {
        var blob = LexiconBlob(sizeBytesMax: try fields.integer("maxSize"))
        if let size = blob.sizeBytesMax, size < 0 { throw fields.fault("maxSize", "must not be negative") }
        if let texts = try fields.strings("accept") {
            var accept: [MIMEPattern] = []
            for text in texts {
                guard let pattern = MIMEPattern(text) else {
                    throw fields.fault("accept", "must hold MIME types or patterns such as image/*")
                }
                accept.append(pattern)
            }
            blob.accept = accept
        }
        return blob
    }

    private func union(_ fields: LexiconFields) throws(LexiconError) -> LexiconUnion {
        var union = LexiconUnion(variants: [], isClosed: try fields.boolean("closed") ?? false)
        for text in try fields.required(fields.strings("refs"), "refs") {
            union.variants.append(try reference(text, fields, "refs"))
        }
        guard !union.isClosed || !union.variants.isEmpty else {
            throw fields.fault("refs", "must not be empty in a closed union")
        }
        return union
    }

    private func reference(
        _ text: String, _ fields: LexiconFields, _ key: String
    ) throws(LexiconError) -> LexiconReference {
        guard let reference = LexiconReference(text, in: id) else {
            throw fields.fault(key, "must be an NSID, an NSID with #name, or #name")
        }
        return reference
    }

    private func checkExclusive(_ fields: LexiconFields) throws(LexiconError) {
        guard fields.map["default"] == nil || fields.map["const"] == nil else {
            throw fields.fault("default", "excludes const")
        }
    }
}
