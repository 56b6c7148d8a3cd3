@testable import Web

/// The client's side of a WebSocket, written by hand so that it can misbehave.
struct WebSocketPeer {
    struct Frame: Equatable {
        var opcode: UInt8
        var isFinal: Bool
        var payload: [UInt8]

        /// The status of a close frame.
        var closeCode: Int? {
            guard opcode == 8, payload.count >= 2 else { return nil }
            return Int(payload[0]) << 8 | Int(payload[1])
        }
    }

    let client: RawClient

    static let handshake: [(String, String)] = [
        ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]

    /// Connects to `server` and upgrades; fails the test's expectation by throwing when it is refused.
    static func run<Result: Sendable>(
        _ server: TestServer,
        _ target: String,
        _ body: (WebSocketPeer) async throws -> Result
    ) async throws -> Result {
        try await RawClient.withConnection(to: server.port) { client in
            try await client.send(RawRequest("GET", target, headers: handshake))
            let response = try await client.response(hasBody: false)
            guard response.status == 101 else { throw ConnectionEnded() }
            return try await body(WebSocketPeer(client: client))
        }
    }

    func send(_ opcode: UInt8, _ payload: [UInt8] = [], isFinal: Bool = true, isMasked: Bool = true) async throws {
        try await client.send(Self.frame(opcode, payload, isFinal: isFinal, isMasked: isMasked))
    }

    static func frame(_ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, isMasked: Bool = true) -> [UInt8] {
        var bytes = [(isFinal ? 0x80 : 0) | opcode]
        let mask: UInt8 = isMasked ? 0x80 : 0
        switch payload.count {
        case ..<126: bytes.append(mask | UInt8(payload.count))
        case ..<65536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: bytes += [mask | 127] + (0..<8).map { UInt8(payload.count >> (56 - 8 * $0) & 255) }
        }
        guard isMasked else { return bytes + payload }
        let key: [UInt8] = [1, 2, 3, 4]
        return bytes + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }

    /// As `next`, without the pings that a server sends when a test takes long.
    func nextButPings() async throws -> Frame {
        while true {
            let frame = try await next()
            if frame.opcode != 9 { return frame }
        }
    }

    func next() async throws -> Frame {
        let head = try await client.read(2)
        let short = Int(head[1] & 0x7F)
        let extended = short < 126 ? [] : try await client.read(short == 126 ? 2 : 8)
        let count = extended.isEmpty ? short : extended.reduce(0) { $0 << 8 | Int($1) }
        return Frame(opcode: head[0] & 15, isFinal: head[0] & 0x80 != 0, payload: try await client.read(count))
    }
}
