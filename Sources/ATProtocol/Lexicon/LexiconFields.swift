/// Reads the fields of one object of a lexicon document, naming the field in every error.
struct LexiconFields {
    let map: DataMap
    private let path: String

    init(_ value: DataValue?, path: String) throws(LexiconError) {
        guard case .map(let map)? = value else { throw LexiconError(.document, path: path, "must be an object") }
        self.map = map
        self.path = path
    }

    /// The path of a field.
    func path(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The error that a field breaks a rule.
    func fault(_ key: String, _ message: String) -> LexiconError {
        LexiconError(.document, path: path(key), message)
    }

    /// The value of a field that must not be absent.
    func required<Value>(_ value: Value?, _ key: String) throws(LexiconError) -> Value {
        guard let value else { throw fault(key, "is required") }
        return value
    }

    func string(_ key: String) throws(LexiconError) -> String? {
        guard let value = map[key] else { return nil }
        guard case .string(let string) = value else { throw fault(key, "must be a string") }
        return string
    }

    func boolean(_ key: String) throws(LexiconError) -> Bool? {
        guard let value = map[key] else { return nil }
        guard case .boolean(let boolean) = value else { throw fault(key, "must be a boolean") }
        return boolean
    }

    func integer(_ key: String) throws(LexiconError) -> Int64? {
        guard let value = map[key] else { return nil }
        guard case .integer(let integer) = value else { throw fault(key, "must be an integer") }
        return integer
    }

    /// The bounds of a length: zero or more, and the lower not above the upper.
    func bounds(_ lower: String, _ upper: String) throws(LexiconError) -> (lower: Int?, upper: Int?) {
        let (low, high) = (try integer(lower), try integer(upper))
        if let low, low < 0 { throw fault(lower, "must not be negative") }
        if let high, high < 0 { throw fault(upper, "must not be negative") }
        if let low, let high, low > high { throw fault(lower, "is greater than \(upper)") }
        return (low.map { Int(clamping: $0) }, high.map { Int(clamping: $0) })
    }

    func strings(_ key: String) throws(LexiconError) -> [String]? {
        guard let value = map[key] else { return nil }
        guard case .array(let elements) = value else { throw fault(key, "must be an array of strings") }
        var strings: [String] = []
        for element in elements {
            guard case .string(let string) = element else { throw fault(key, "must be an array of strings") }
            strings.append(string)
        }
        return strings
    }

    func integers(_ key: String) throws(LexiconError) -> [Int64]? {
        guard let value = map[key] else { return nil }
        guard case .array(let elements) = value else { throw fault(key, "must be an array of integers") }
        var integers: [Int64] = []
        for element in elements {
            guard case .integer(let integer) = element else { throw fault(key, "must be an array of integers") }
            integers.append(integer)
        }
        return integers
    }

    func array(_ key: String) throws(LexiconError) -> [DataValue]? {
        guard let value = map[key] else { return nil }
        guard case .array(let elements) = value else { throw fault(key, "must be an array") }
        return elements
    }

    /// A map of language tags to texts.
    func translations(_ key: String) throws(LexiconError) -> [LanguageTag: String] {
        guard let value = map[key] else { return [:] }
        var translations: [LanguageTag: String] = [:]
        for (name, text) in try LexiconFields(value, path: path(key)).map {
            guard let tag = try? LanguageTag(parsing: name), case .string(let string) = text else {
                throw fault(key, "must map language tags to strings")
            }
            translations[tag] = string
        }
        return translations
    }
}
