import Foundation
import Testing

/// The binary carries the lexicons as they are, and the pages in docs/api say what they say.
struct EmbeddingTests {
    @Test(arguments: ["embed-lexicons", "document-lexicons"])
    func whatIsWrittenFromLexiconsIsUpToDate(_ script: String) throws {
        let check = Process()
        check.executableURL = URL(filePath: "/usr/bin/env")
        check.arguments = ["python3", SourceTree.shared.root.appending(path: "scripts/\(script)").path, "--check"]
        let complaints = Pipe()
        check.standardError = complaints
        try check.run()
        let text = String(decoding: complaints.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        check.waitUntilExit()
        #expect(check.terminationStatus == 0, "\(text)")
    }
}
