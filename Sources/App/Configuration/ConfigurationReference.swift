/// The pages made from the table of keys.
package enum ConfigurationReference {
    /// The text of `docs/configuration.md`.
    package static var markdown: String {
        var text = """
            # Configuration

            <!-- Made by `kith configuration --markdown` from the table of keys. Change that, not this page. -->

            Everything has a default; `kith serve` alone runs. A key is read from these places, the first winning:

            1. a flag of `kith serve`, where the key has one;
            2. the environment, by the name given below;
            3. the file named by `--config` or `KITH_CONFIG`, in YAML: `kith.example.yaml` holds every key with its default;
            4. the default.

            All mistakes are told at once, before anything is opened, and the process ends with exit code 78. A key in the file
            that doesn't exist is a mistake; an unknown variable that begins with `KITH_` is only warned about. Secrets are
            never printed or logged. Sizes are bytes or carry a unit (`100 MB`, `16 MiB`); durations always carry one (`72h`);
            lists are YAML lists, or one text with commas.


            """
        for section in ConfigurationKeys.sections {
            text += "## \(section.title)\n\n"
            for entry in section.entries {
                let flag = entry.flag.map { " · `\($0)`" } ?? ""
                text += "### `\(entry.path)`\n\n`\(entry.environmentName)`\(flag)\n\n"
                text += "\(entry.meaning)\n\n"
                text += "- Value: \(entry.form)\(entry.isSecret ? " (secret)" : "")\n"
                let standard = entry.standard
                text +=
                    "- Default: \(standard.hasPrefix("(") ? String(standard.dropFirst().dropLast()) : "`\(standard)`")\n\n"
            }
        }
        while text.hasSuffix("\n\n") { text.removeLast() }
        return text
    }

    /// The text of `kith.example.yaml`: every key, commented out, with its default.
    package static var example: String {
        var text = """
            # Kith's configuration, with every key at its default. Uncomment what you change.
            # docs/configuration.md explains each; flags and the environment win over this file.

            """
        for section in ConfigurationKeys.sections {
            text += "\n# \(section.title)\n"
            var open = ""
            for entry in section.entries {
                let parts = entry.path.split(separator: ".")
                let indent = parts.count > 1 ? "  " : ""
                if parts.count > 1, open != parts[0] {
                    open = String(parts[0])
                    text += "\n#\(open):\n"
                } else if parts.count == 1 {
                    open = ""
                    text += "\n"
                }
                let comment = indent.isEmpty ? "# " : "#\(indent)# "
                text += wrapped(entry.meaning).map { comment + $0 + "\n" }.joined()
                text += "#\(indent)\(parts.last ?? ""):\(sample(entry))\n"
            }
        }
        return text
    }

    private static func sample(_ entry: ConfigurationEntry) -> String {
        let standard = entry.standard
        guard !standard.hasPrefix("(") else { return "  # " + standard.dropFirst().dropLast().replacing("`", with: "") }
        return " " + (entry.form.hasPrefix("list") && !standard.hasPrefix("[") ? "[\(standard)]" : standard)
    }

    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = [""]
        for word in text.replacing("`", with: "").split(separator: " ") {
            if lines[lines.count - 1].count + word.count > 96 { lines.append("") }
            lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
        }
        return lines
    }
}
