import AsyncHTTPClient
import Base
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import Storage
import Synchronization
import TestDatabases

@testable import App

/// A folder for the length of a test.
final class TemporaryFolder: Sendable {
    let path: String
    /// Where the instance keeps its database, unless it is a file in the folder.
    let server: ScratchDatabase?

    init() {
        server = Engine.chosen == .postgresql ? try? ScratchDatabase() : nil
        path = NSTemporaryDirectory() + "kith-app-" + Hex.encode(SystemRandomness().bytes(8))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Lines of a log, kept.
final class KeptLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    @Sendable func keep(_ line: String) { lines.withLock { $0.append(line) } }
}

/// An instance in a folder of its own, in development unless told otherwise.
struct TestInstance {
    let folder: TemporaryFolder
    var settings: [String: String] = ["development": "true", "hostname": "localhost:8080", "port": "0"]
    let log = KeptLines()
    let told = KeptLines()
    /// What stands between the instance and its database.
    var database: @Sendable (any Database) -> any Database = { $0 }

    init(_ folder: TemporaryFolder = TemporaryFolder(), _ settings: [String: String] = [:]) {
        self.folder = folder
        self.settings.merge(settings) { _, new in new }
    }

    func configuration() throws -> Configuration {
        var flags = settings
        flags["data"] = folder.path
        if let server = folder.server { flags["database.url"] = flags["database.url"] ?? server.url }
        return try Configuration(layers: [ConfigurationLayer(flags: flags)])
    }

    func open() async throws -> Instance {
        let (keep, clock) = (log.keep, SystemClock())
        let logger = Logger(label: "test") { _ in
            LineLogHandler(format: .text, level: .debug, clock: clock, write: keep)
        }
        var surroundings = Surroundings(logger: logger, announce: told.keep)
        surroundings.database = database
        return try await Instance.open(try configuration(), surroundings)
    }

    /// Opens it, serves on a free port while `body` runs, stops and closes it.
    func serve<Result: Sendable>(_ body: (Instance, TestClient) async throws -> Result) async throws -> Result {
        let instance = try await open()
        do {
            let result = try await AdministrationSession.withServing(instance) { port in
                try await body(instance, TestClient(port: port))
            }
            await instance.close()
            return result
        } catch {
            await instance.close()
            throw error
        }
    }
}

/// What came back.
struct TestAnswer {
    var status: Int
    var headers: HTTPHeaders
    var text: String
}

/// Speaks HTTP to a port of this machine.
struct TestClient {
    let port: Int

    func get(_ path: String, headers: [(String, String)] = []) async throws -> TestAnswer {
        try await send("GET", path, headers: headers)
    }

    func send(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: String? = nil
    ) async throws -> TestAnswer {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.method = HTTPMethod(rawValue: method)
        request.headers = HTTPHeaders(headers)
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        let bytes = try await response.body.collect(upTo: 16 << 20)
        return TestAnswer(
            status: Int(response.status.code), headers: response.headers, text: String(buffer: bytes))
    }

    /// Calls a procedure with a JSON body.
    func call(_ nsid: String, _ json: String, headers: [(String, String)] = []) async throws -> TestAnswer {
        try await send(
            "POST", "/xrpc/" + nsid, headers: headers + [("Content-Type", "application/json")], body: json)
    }
}
