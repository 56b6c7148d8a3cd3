import Testing

/// Imports point down only, and third-party types stop at the floor that wraps them.
struct ImportTests {
    /// What each target may import of ours. A wing never imports another wing.
    private static let floors: [String: Set<String>] = [
        "Base": [],
        "ATProtocol": ["Base", "CSecp256k1"],
        "Storage": ["Base", "ATProtocol", "CPostgreSQL"],
        "Web": ["Base", "ATProtocol", "CAres", "CZlib"],
        "Contracts": ["Base", "ATProtocol", "Storage"],
        "Identity": ["Base", "ATProtocol", "Contracts", "Storage", "Web"],
        "Publishing": ["Base", "ATProtocol", "Contracts", "Storage", "Web"],
        "Community": ["Base", "ATProtocol", "Contracts", "Storage", "Web"],
        "Hosting": ["Base", "ATProtocol", "Contracts", "Storage"],
        "Pages": ["Base", "ATProtocol", "Contracts", "Web"],
        "App": [
            "Base", "ATProtocol", "Contracts", "Storage", "Web", "Identity", "Publishing", "Community", "Hosting",
            "Pages",
        ],
        "kith": ["App", "Base", "Hosting"],
    ]
    nonisolated(unsafe) private static let statement =
        /^\s*(?:@\w+\s+)*(?:(?:package|public|internal|private|fileprivate)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)/

    private func imports(_ file: SourceFile) -> [(line: Int, module: String)] {
        file.code.enumerated().compactMap { number, line in
            line.firstMatch(of: Self.statement).map { (number, String($0.output.1)) }
        }
    }

    @Test func everyTargetIsOnAFloor() {
        for file in SourceTree.shared.sources {
            #expect(Self.floors[file.target] != nil, "\(file.path): give target \(file.target) its floor here")
        }
    }

    @Test func importsPointDown() {
        let ours = Set(Self.floors.keys).union(["CSecp256k1", "CAres", "CZlib", "CPostgreSQL"])
        for file in SourceTree.shared.sources {
            for (line, module) in imports(file) where ours.contains(module) {
                let allowed = Self.floors[file.target]?.contains(module) ?? false
                #expect(allowed, "\(file.complaint(line, "\(file.target) may not import \(module)"))")
            }
        }
    }

    @Test func serverTypesStayInWeb() {
        for file in SourceTree.shared.sources where file.target != "Web" && file.target != "App" {
            if file.name.hasSuffix("Routes.swift") { continue }
            for (line, module) in imports(file) {
                let isServer = module.hasPrefix("Hummingbird") || module.hasPrefix("NIO") || module == "AsyncHTTPClient"
                #expect(!isServer, "\(file.complaint(line, "\(module) belongs in Web, App and …Routes"))")
            }
        }
    }

    @Test func databaseTypesStayInStorage() {
        for file in SourceTree.shared.sources where file.target != "Storage" {
            for (line, module) in imports(file) {
                #expect(
                    !["GRDB", "SQLite3"].contains(module), "\(file.complaint(line, "\(module) belongs in Storage"))")
            }
        }
    }
}
