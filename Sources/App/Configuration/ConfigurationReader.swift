/// Something in the configuration that can't be meant.
package struct ConfigurationMistake: Sendable, Hashable, CustomStringConvertible {
    /// Where and what, for people. Never the value of a secret.
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The configuration can't be used. Thrown before anything is opened.
package struct ConfigurationMistakes: Error, Sendable, CustomStringConvertible {
    /// All that is wrong, in the order of the reference page.
    package let mistakes: [ConfigurationMistake]
    /// What can be made of the rest, with the paths of the keys that nothing was made of; nil when that is nothing.
    let rest: (configuration: Configuration, faulty: Set<String>)?

    init(mistakes: [ConfigurationMistake], rest: (configuration: Configuration, faulty: Set<String>)? = nil) {
        self.mistakes = mistakes
        self.rest = rest
    }

    package var description: String {
        "the configuration has \(mistakes.count == 1 ? "a mistake" : "\(mistakes.count) mistakes"):"
            + mistakes.map { "\n  - \($0)" }.joined()
    }
}

/// Reads keys from layers, the first that has one winning, and gathers all mistakes.
struct ConfigurationReader {
    private let layers: [ConfigurationLayer]
    private(set) var mistakes: [ConfigurationMistake]
    /// The paths of keys whose values can't be used.
    private(set) var faulty: Set<String> = []

    init(layers: [ConfigurationLayer]) {
        self.layers = layers
        mistakes = layers.flatMap(\.mistakes)
    }

    /// The value of a key that is always there.
    mutating func read<Value>(_ key: ConfigurationKey<Value>, else fallback: @autoclosure () -> Value) -> Value {
        read(key) ?? key.fallback ?? fallback()
    }

    /// The value of a key, nil when nothing usable is written.
    mutating func read<Value>(_ key: ConfigurationKey<Value>) -> Value? {
        let path = key.entry.path
        for layer in layers {
            guard let written = layer.values[path] else { continue }
            let text: String
            switch written.text {
            case .one(let one): text = one
            case .several(let several):
                guard key.parser.isList else {
                    faulty.insert(path)
                    complain(written.origin, "holds one value, not a list")
                    return nil
                }
                text = several.joined(separator: ",")
            }
            // An empty variable is how a shell says "not set".
            if text.isEmpty, !key.parser.isList { continue }
            do throws(ValueMistake) {
                return try key.parser.parse(text)
            } catch {
                faulty.insert(path)
                complain(
                    written.origin,
                    (key.entry.isSecret || error.hidesText ? "" : "“\(text)” ") + "is not \(error.expected)")
                return nil
            }
        }
        return nil
    }

    /// Where a key is written, for complaints.
    func origin<Value>(of key: ConfigurationKey<Value>) -> String {
        for layer in layers {
            if let written = layer.values[key.entry.path] { return written.origin }
        }
        return key.entry.path
    }

    /// What is written for a key, or its default, and where; never a secret.
    func shown(_ entry: ConfigurationEntry) -> (text: String, origin: String) {
        for layer in layers {
            guard let written = layer.values[entry.path] else { continue }
            let text =
                switch written.text {
                case .one(let one): one
                case .several(let several): several.joined(separator: ", ")
                }
            return (entry.isSecret ? "<secret>" : text, written.origin)
        }
        return (entry.standard.replacing("`", with: ""), "default")
    }

    mutating func complain<Value>(_ key: ConfigurationKey<Value>, _ text: String) {
        faulty.insert(key.entry.path)
        complain(origin(of: key), text)
    }

    private mutating func complain(_ origin: String, _ text: String) {
        mistakes.append(ConfigurationMistake("\(origin): \(text)"))
    }
}
