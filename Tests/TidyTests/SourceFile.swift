import Foundation

/// One file of the project as the tidy tests see it: its lines, and for Swift the same lines with the text of comments and
/// string literals blanked out, so that a word in prose is never taken for code.
struct SourceFile: Sendable {
    /// The path from the root of the project, such as `Sources/Base/Hex.swift`.
    let path: String
    let lines: [String]
    /// As `lines`, column for column, with comments and literals replaced by spaces; only for Swift.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        code = path.hasSuffix(".swift") ? SourceStripper.strip(text) : []
    }

    var name: String { String(path.split(separator: "/").last ?? "") }
    var folder: String { path.split(separator: "/").dropLast().joined(separator: "/") }
    /// The target of a file under `Sources` or `Tests`.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isSource: Bool { isSwift && path.hasPrefix("Sources/") }

    /// What a failing test says: `path:line: message`.
    func complaint(_ line: Int, _ message: String) -> String { "\(path):\(line + 1): \(message)" }
}

/// The whole project, read once.
struct SourceTree: Sendable {
    static let shared = SourceTree()

    let root: URL
    let files: [SourceFile]

    private static let extensions: Set<String> = [
        "swift", "md", "json", "py", "toml", "txt", "yml", "yaml", "h", "modulemap", "",
    ]

    private init() {
        root =
            URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .standardizedFileURL
        var found: [SourceFile] = []
        var folders = [""]
        while let folder = folders.popLast() {
            let url = folder.isEmpty ? root : root.appending(path: folder)
            let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
            for name in names.sorted() where !Self.isForeign(name) {
                let path = folder.isEmpty ? name : folder + "/" + name
                var isFolder: ObjCBool = false
                _ = FileManager.default.fileExists(atPath: root.appending(path: path).path, isDirectory: &isFolder)
                if isFolder.boolValue {
                    folders.append(path)
                } else if Self.extensions.contains((name as NSString).pathExtension),
                    let text = try? String(contentsOf: root.appending(path: path), encoding: .utf8)
                {
                    found.append(SourceFile(path: path, text: text))
                }
            }
        }
        files = found.sorted { $0.path < $1.path }
    }

    /// What lies in the folder and is not the project's: builds, environments, data.
    private static func isForeign(_ name: String) -> Bool {
        let known: Set<String> = [
            ".git", ".venv", ".swiftpm", ".pytest_cache", ".ruff_cache", "__pycache__", "kith-data", "Package.resolved",
            "bench-results",
        ]
        return known.contains(name) || name.hasPrefix(".build")
    }

    var swift: [SourceFile] { files.filter(\.isSwift) }
    var sources: [SourceFile] { files.filter(\.isSource) }
    var tests: [SourceFile] { files.filter { $0.isSwift && $0.path.hasPrefix("Tests/") } }

    /// The folders under `Sources/<target>` that hold Swift files, one level down.
    func rooms(of target: String) -> Set<String> {
        Set(
            sources.filter { $0.target == target }.compactMap { file in
                let parts = file.path.split(separator: "/")
                return parts.count > 3 ? String(parts[2]) : nil
            })
    }
}
