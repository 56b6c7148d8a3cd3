import Base
import CZlib
import Testing

@testable import Web

/// Compressed bodies in both directions.
@Suite(.timeLimit(.minutes(10)))
struct CompressionTests {
    private static let options: TestServerOptions = {
        var options = TestServerOptions { routes in
            routes.get("/text/:count", access: .anyone) { call in
                .text(String(repeating: "abc ", count: (Int(call.path["count"] ?? "") ?? 0) / 4))
            }
            routes.get("/image", access: .anyone) { _ in
                .bytes([UInt8](repeating: 1, count: 5000), contentType: "image/png")
            }
            routes.get("/archive", access: .anyone) { _ in
                .stream(
                    ByteStream(byteCount: 100_000) { take in
                        for index in 0..<100 { try await take([UInt8](repeating: UInt8(index), count: 1000)) }
                    }, contentType: "application/vnd.ipld.car")
            }
            routes.post("/upload", access: .anyone, body: .bytes(100_000)) { call in
                let body = try await call.body.collect()
                return .text("\(body.count) \(body.first ?? 0)")
            }
        }
        return options
    }()

    /// The bytes behind a gzip body, by the decoder of requests.
    private func inflated(_ bytes: [UInt8]) async throws -> [UInt8] {
        try await RequestBody(source: InflatingBody(IncomingBody(bytes)), byteCountMax: 1 << 24, declaredByteCount: nil)
            .collect()
    }

    @Test func answersAreCompressedWhenAskedAndWorthIt() async throws {
        try await TestServer.run(Self.options) { server in
            let gzip = [("accept-encoding", "gzip, deflate, br")]
            let long = try await server.get("/text/4000", headers: gzip)
            #expect(long.header("content-encoding") == "gzip")
            #expect(long.headers("vary").contains("Accept-Encoding"))
            #expect(long.body.count < 200)
            #expect(try await inflated(long.body) == Array(String(repeating: "abc ", count: 1000).utf8))
            let short = try await server.get("/text/1000", headers: gzip)
            #expect(short.header("content-encoding") == nil)
            #expect(short.headers("vary").contains("Accept-Encoding"))
            for refusal in [[], [("accept-encoding", "identity")], [("accept-encoding", "gzip;q=0, *")]] {
                let plain = try await server.get("/text/4000", headers: refusal)
                #expect(plain.header("content-encoding") == nil)
                #expect(plain.body.count == 4000)
            }
            #expect(try await server.get("/image", headers: gzip).header("content-encoding") == nil)
        }
    }

    @Test func archivesAreCompressedWhileTheyAreSent() async throws {
        try await TestServer.run(Self.options) { server in
            let plain = try await server.get("/archive")
            #expect(plain.header("content-length") == "100000")
            let compressed = try await server.get("/archive", headers: [("accept-encoding", "gzip")])
            #expect(compressed.header("content-encoding") == "gzip")
            #expect(compressed.header("content-length") == nil)
            #expect(compressed.body.count < 5000)
            #expect(try await inflated(compressed.body) == plain.body)
        }
    }

    private func upload(_ server: TestServer, _ body: [UInt8], encoding: String) async throws -> RawResponse {
        try await server.send(RawRequest("POST", "/upload", headers: [("content-encoding", encoding)], body: body))
    }

    @Test func uploadsMayBeCompressed() async throws {
        let plain = [UInt8](repeating: 7, count: 90_000)
        let gzip = try #require(GzipEncoder.compress(plain))
        let zlib = Self.zlib(plain)
        try await TestServer.run(Self.options) { server in
            #expect(try await upload(server, gzip, encoding: "gzip").text == "90000 7")
            #expect(try await upload(server, zlib, encoding: "deflate").text == "90000 7")
            #expect(try await upload(server, plain, encoding: "identity").text == "90000 7")
            #expect(try await upload(server, [], encoding: "gzip").text == "0 0")
            // Two members one behind the other are one body (RFC 1952 section 2.2).
            let half = try #require(GzipEncoder.compress([UInt8](repeating: 7, count: 100)))
            #expect(try await upload(server, half + half, encoding: "gzip").text == "200 7")
        }
    }

    @Test func brokenCompression() async throws {
        let gzip = try #require(GzipEncoder.compress([UInt8](repeating: 7, count: 1000)))
        var damaged = gzip
        damaged[gzip.count - 5] ^= 1
        let cases = [Array("plain".utf8), Array(gzip.dropLast(3)), damaged, gzip + [1, 2, 3], Array(gzip.prefix(5))]
        try await TestServer.run(Self.options) { server in
            for bytes in cases {
                let response = try await upload(server, bytes, encoding: "gzip")
                #expect(response.status == 400)
            }
            let unknown = try await upload(server, [1], encoding: "br")
            #expect(unknown.status == 415)
        }
    }

    @Test func bombsCostTheirLimit() async throws {
        let bomb = try #require(GzipEncoder.compress([UInt8](repeating: 0, count: 50 << 20)))
        #expect(bomb.count < 400_000)
        try await TestServer.run(Self.options) { server in
            let response = try await upload(server, bomb, encoding: "gzip")
            #expect(response.status == 413)
        }
    }

    private static func zlib(_ bytes: [UInt8]) -> [UInt8] {
        var length = compressBound(UInt(bytes.count))
        var output = [UInt8](repeating: 0, count: Int(length))
        CZlib.compress(&output, &length, bytes, UInt(bytes.count))
        return Array(output.prefix(Int(length)))
    }
}
