import Foundation

/// The interoperability vectors beside the repository, where they are present.
enum SyntaxVectors {
    /// The folder `shared/fixtures/atproto` found by walking up from this file; nil in a lone clone.
    static let folder: URL? = {
        var folder = URL(filePath: #filePath).deletingLastPathComponent()
        while folder.path.count > 1 {
            let candidate = folder.appending(path: "shared/fixtures/atproto")
            if FileManager.default.fileExists(atPath: candidate.path) { return candidate }
            folder.deleteLastPathComponent()
        }
        return nil
    }()

    /// The cases of a file, one a line; comments and empty lines left out, white space kept. Empty in a lone clone.
    static func lines(_ name: String) throws -> [String] {
        guard let folder else { return [] }
        let text = try String(contentsOf: folder.appending(path: "syntax/\(name).txt"), encoding: .utf8)
        return text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
    }

    /// The bytes of a file below the folder; nil in a lone clone.
    static func bytes(_ path: String) throws -> [UInt8]? {
        guard let folder else { return nil }
        return [UInt8](try Data(contentsOf: folder.appending(path: path)))
    }

    /// The lexicons of this repository: path and content, in order of their paths.
    static func lexicons() throws -> [(path: String, content: [UInt8])] {
        var root = URL(filePath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let folder = root.appending(path: "Lexicons")
        let paths = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return try paths.filter { $0.hasSuffix(".json") }.sorted().map { path in
            (path, [UInt8](try Data(contentsOf: folder.appending(path: path))))
        }
    }

    /// How many inputs each fuzz test tries, over all its seeds: 10 000, or what `make soak` asks for.
    static var fuzzInputCount: Int {
        ProcessInfo.processInfo.environment["KITH_FUZZ_INPUTS"].flatMap(Int.init) ?? 10_000
    }
}
