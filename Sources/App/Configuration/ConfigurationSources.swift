import ATProtocol
import Foundation

/// Flags, environment and file of this process, as far as they could be read.
package struct ConfigurationSources: Sendable {
    private let layers: [ConfigurationLayer]
    /// Variables that look like ours and aren't.
    package let unknownVariables: [String]

    /// - Parameters:
    ///   - flags: by the path of their key.
    ///   - file: the configuration file; nil takes the one `KITH_CONFIG` names, if it names one.
    /// - Throws: `ConfigurationMistakes` when the file can't be read.
    package init(
        flags: [String: String], file: String?, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(ConfigurationMistakes) {
        var layers = [ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment)]
        let variable = environment["KITH_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        if let path = file ?? variable {
            guard let data = FileManager.default.contents(atPath: path), let text = String(data: data, encoding: .utf8)
            else {
                throw ConfigurationMistakes(mistakes: [ConfigurationMistake("\(path): the file can't be read")])
            }
            let name = path.split(separator: "/").last.map { String($0) } ?? path
            layers.append(ConfigurationLayer(yaml: text, name: name))
        }
        self.layers = layers
        unknownVariables = ConfigurationLayer.unknownVariables(in: environment)
    }

    /// The whole configuration.
    package func configuration() throws(ConfigurationMistakes) -> Configuration {
        try Configuration(layers: layers)
    }

    /// The whole configuration for a command over a data directory: where no name is given, the one holds under which the
    /// directory was last served.
    package func rememberedConfiguration() throws(ConfigurationMistakes) -> Configuration {
        let configuration = try configuration()
        guard let name = DataDirectory(configuration.data).servedName else { return configuration }
        let memory = ConfigurationLayer(flags: ["hostname": name])
        return try Configuration(layers: layers + [memory])
    }

    /// The whole configuration; where no name is given, `name` holds.
    package func configuration(named name: String) throws(ConfigurationMistakes) -> Configuration {
        try Configuration(layers: layers + [ConfigurationLayer(flags: ["hostname": name])])
    }

    /// What holds, key by key. Secrets are not shown.
    package func report() throws(ConfigurationMistakes) -> CommandOutput {
        _ = try configuration()
        let reader = ConfigurationReader(layers: layers)
        var map = DataMap()
        var rows: [[String]] = []
        for entry in ConfigurationKeys.entries {
            let (text, origin) = reader.shown(entry)
            rows.append([entry.path, text, origin])
            map[entry.path] = ["value": .string(text), "origin": .string(origin)]
        }
        return CommandOutput(.map(map), text: TextTable(["KEY", "VALUE", "FROM"], rows).text)
    }
}
