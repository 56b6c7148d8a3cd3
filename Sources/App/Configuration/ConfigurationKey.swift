/// One key of the configuration as people read of it: what stands in the reference page and in the example file.
package struct ConfigurationEntry: Sendable, Hashable {
    /// Its place in the configuration file, e.g. `database.url`: words joined by dots for sections.
    package let path: String
    /// What may be written, e.g. `whole number, 0…65535`.
    package let form: String
    /// What holds when nothing is written, as it would be written; or a sentence in parentheses.
    package let standard: String
    /// One or two sentences.
    package let meaning: String
    /// Whether its value must never be shown.
    package let isSecret: Bool

    /// The name in the environment, e.g. `KITH_DATABASE_URL`.
    package var environmentName: String { Self.environmentName(path: path) }

    /// The flag of `kith serve`, for the keys that have one.
    package var flag: String? { ConfigurationKeys.flags[path] }

    static func environmentName(path: String) -> String {
        "KITH_" + path.uppercased().replacing(".", with: "_").replacing("-", with: "_")
    }
}

/// A key together with the type of its value.
struct ConfigurationKey<Value: Sendable>: Sendable {
    let entry: ConfigurationEntry
    let parser: ValueParser<Value>
    /// What holds when nothing is written; nil where that depends on other keys, or where nothing then holds.
    let fallback: Value?

    /// A key with a fixed default.
    init(_ path: String, _ parser: ValueParser<Value>, _ fallback: Value, _ meaning: String) {
        self.init(path, parser, fallback: fallback, standard: parser.render(fallback), meaning)
    }

    /// A key whose default depends on others, or that has none; `standard` says which.
    init(_ path: String, _ parser: ValueParser<Value>, standard: String, _ meaning: String) {
        self.init(path, parser, fallback: nil, standard: "(\(standard))", meaning)
    }

    private init(
        _ path: String, _ parser: ValueParser<Value>, fallback: Value?, standard: String, _ meaning: String
    ) {
        entry = ConfigurationEntry(
            path: path, form: parser.form, standard: standard, meaning: meaning, isSecret: parser.isSecret)
        self.parser = parser
        self.fallback = fallback
    }
}

/// A text that must not be shown: wherever it is printed, logged or dumped it reads `<secret>`.
package struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The text itself.
    package let value: String

    package init(_ value: String) {
        self.value = value
    }

    package var description: String { "<secret>" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
