import Foundation
import Testing

@testable import App

/// The pages that are made from the table of keys, and the table itself.
struct ConfigurationPagesTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func file(_ path: String) throws -> String {
        try String(contentsOf: Self.root.appending(path: path), encoding: .utf8)
    }

    @Test func theReferencePageIsUpToDate() throws {
        #expect(
            try file("docs/configuration.md") == ConfigurationReference.markdown,
            "run `kith configuration --markdown > docs/configuration.md`")
    }

    @Test func theExampleFileIsUpToDate() throws {
        #expect(
            try file("kith.example.yaml") == ConfigurationReference.example,
            "run `kith configuration --example > kith.example.yaml`")
    }

    @Test func theExampleFileIsAConfiguration() throws {
        let text = try file("kith.example.yaml")
        let layer = ConfigurationLayer(yaml: text, name: "kith.example.yaml")
        #expect(layer.mistakes.isEmpty && layer.values.isEmpty)
        _ = try Configuration(layers: [layer])
    }

    /// With every line of a key uncommented it is read, names every key and says the defaults.
    @Test func theExampleFileNamesEveryKeyAtItsDefault() throws {
        let lines = try file("kith.example.yaml").split(separator: "\n", omittingEmptySubsequences: false)
        // A comment for people begins with "# ", a key or what belongs to one doesn't.
        let uncommented = lines.map { line in
            line.hasPrefix("#") && line.dropFirst().first != " " || line.hasPrefix("#  ")
                ? String(line.dropFirst()) : String(line)
        }.joined(separator: "\n")
        let layer = ConfigurationLayer(yaml: uncommented, name: "kith.example.yaml")
        #expect(layer.mistakes.isEmpty, "\(layer.mistakes)")
        let text = uncommented.replacing(/# .*/, with: "")
        for entry in ConfigurationKeys.entries {
            let word = entry.path.split(separator: ".").last ?? ""
            #expect(text.contains("\(word):"), "\(entry.path) is missing")
        }
        let read = try Configuration(layers: [layer])
        let standard = try Configuration(layers: [])
        #expect("\(read)" == "\(standard)")
    }

    @Test func everyKeyIsInTheTable() {
        let paths = ConfigurationKeys.entries.map(\.path)
        #expect(Set(paths).count == paths.count)
        let fixed = [
            "KITH_HOSTNAME", "KITH_PORT", "KITH_DATA", "KITH_DATABASE_URL", "KITH_BOOTSTRAP_ADMIN_HANDLE",
            "KITH_BOOTSTRAP_ADMIN_EMAIL", "KITH_BOOTSTRAP_ADMIN_PASSWORD", "KITH_INVITE_REQUIRED",
            "KITH_APPROVAL_REQUIRED", "KITH_RATE_LIMITS", "KITH_OUTBOUND_GUARD", "KITH_DEVELOPMENT", "KITH_PLC_URL",
            "KITH_HANDLE_DOMAINS", "KITH_BLOBS_URL", "KITH_KEY_ENCRYPTION_SECRET", "KITH_CRAWLERS",
        ]
        #expect(Set(fixed).subtracting(ConfigurationKeys.entries.map(\.environmentName)).isEmpty)
        for entry in ConfigurationKeys.entries {
            #expect(entry.meaning.hasSuffix("."), "\(entry.path)")
            #expect(entry.path.wholeMatch(of: /[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)?/) != nil, "\(entry.path)")
        }
        #expect(Set(ConfigurationKeys.flags.keys).isSubset(of: paths))
    }
}
