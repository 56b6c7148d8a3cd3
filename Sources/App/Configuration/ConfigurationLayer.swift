import Yams

/// One place that values come from: flags, the environment, a file.
package struct ConfigurationLayer: Sendable {
    /// A value as written.
    enum Text: Sendable, Hashable {
        case one(String)
        case several([String])
    }

    /// A value and where it stands.
    struct Written: Sendable, Hashable {
        let text: Text
        /// For complaints, e.g. `KITH_PORT` or `kith.yaml:3: port`.
        let origin: String
    }

    /// Values by the path of their key.
    let values: [String: Written]
    /// What is wrong with the layer itself.
    let mistakes: [ConfigurationMistake]

    /// Values from `kith serve`'s flags, by the path of their key.
    package init(flags: [String: String]) {
        values = Dictionary(
            uniqueKeysWithValues: flags.map { path, value in
                (path, Written(text: .one(value), origin: ConfigurationKeys.flags[path] ?? path))
            })
        mistakes = []
    }

    /// Values from the environment. Variables that begin with `KITH_` and mean nothing are left alone: see
    /// `unknownVariables`.
    package init(environment: [String: String]) {
        var values: [String: Written] = [:]
        for entry in ConfigurationKeys.entries {
            guard let value = environment[entry.environmentName] else { continue }
            values[entry.path] = Written(text: .one(value), origin: entry.environmentName)
        }
        self.values = values
        mistakes = []
    }

    /// The variables that look like ours and aren't, for a warning: perhaps someone mistyped one.
    package static func unknownVariables(in environment: [String: String]) -> [String] {
        let known = Set(ConfigurationKeys.entries.map(\.environmentName) + ["KITH_CONFIG"])
        return environment.keys.filter { $0.hasPrefix("KITH_") && !known.contains($0) }.sorted()
    }

    /// Values from a YAML file.
    ///
    /// - Parameters:
    ///   - yaml: the file's text.
    ///   - name: the file's name, for complaints.
    package init(yaml: String, name: String) {
        var walk = YAMLWalk(name: name)
        do {
            if let node = try Yams.compose(yaml: yaml) { walk.section(node, path: "") }
        } catch let error as YamlError {
            walk.mistakes.append(ConfigurationMistake("\(name): \(error)"))
        } catch {
            walk.mistakes.append(ConfigurationMistake("\(name): \(error)"))
        }
        values = walk.values
        mistakes = walk.mistakes
    }
}

/// Takes a YAML document apart into the values of known keys.
private struct YAMLWalk {
    let name: String
    var values: [String: ConfigurationLayer.Written] = [:]
    var mistakes: [ConfigurationMistake] = []

    private static let paths = Set(ConfigurationKeys.entries.map(\.path))

    init(name: String) {
        self.name = name
    }

    mutating func section(_ node: Node, path: String) {
        guard let mapping = node.mapping else {
            // An empty section, or a file of comments.
            if node.scalar?.string.isEmpty ?? false { return }
            return complain(node, path.isEmpty ? "the file is not a mapping of keys" : "\(path) is a section")
        }
        for (key, value) in mapping {
            guard let word = key.scalar?.string else {
                complain(key, "a key must be a word")
                continue
            }
            take(value, key: key, path: path.isEmpty ? word : path + "." + word)
        }
    }

    private mutating func take(_ value: Node, key: Node, path: String) {
        guard Self.paths.contains(path) else {
            guard Self.paths.contains(where: { $0.hasPrefix(path + ".") }) else {
                return complain(key, "there is no key \(path)\(Self.suggestion(for: path))")
            }
            return section(value, path: path)
        }
        let origin = place(key) + path
        switch value {
        case .scalar(let scalar):
            // A key without a value is as good as not written.
            guard !scalar.string.isEmpty || scalar.style != .any && scalar.style != .plain else { return }
            values[path] = .init(text: .one(scalar.string), origin: origin)
        case .sequence(let sequence):
            let texts = sequence.compactMap { $0.scalar?.string }
            guard texts.count == sequence.count else { return complain(value, "\(path) may hold plain values only") }
            values[path] = .init(text: .several(texts), origin: origin)
        default:
            complain(value, "\(path) holds a value, not a section")
        }
    }

    private mutating func complain(_ node: Node, _ text: String) {
        mistakes.append(ConfigurationMistake(place(node) + text))
    }

    private func place(_ node: Node) -> String {
        node.mark.map { "\(name):\($0.line): " } ?? "\(name): "
    }

    private static func suggestion(for path: String) -> String {
        let near = paths.map { ($0, distance(Array($0.utf8), Array(path.utf8))) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
        guard let near, near.1 <= 3 else { return "" }
        return "; is \(near.0) meant?"
    }

    /// How many letters must be changed, added or removed to make one text of the other.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let next = min(diagonal + (a == b ? 0 : 1), row[j] + 1, row[j + 1] + 1)
                diagonal = row[j + 1]
                row[j + 1] = next
            }
        }
        return row[right.count]
    }
}
