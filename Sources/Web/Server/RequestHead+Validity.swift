import Base
import NIOHTTP1

extension HTTPRequestHead {
    /// Why a request can't be served whatever it asks for; nil when it can.
    ///
    /// - Parameter isFirst: whether it is the first of its connection, which alone may become a WebSocket.
    func failure(isFirst: Bool) -> WebFailure? {
        // RFC 9112 section 3.2.
        let hosts = headers["host"]
        guard hosts.count == 1 || (hosts.isEmpty && version != .http1_1) else {
            return .invalidRequest("A request must have one Host header")
        }
        guard hosts.allSatisfy({ $0.utf8.allSatisfy(Self.isHostByte) }) else {
            return .invalidRequest("The Host header isn't a host")
        }
        guard isFirst, method == .GET, headers[canonicalForm: "sec-websocket-version"].elementsEqual(["13"]),
            headers[canonicalForm: "upgrade"].contains(where: { $0.lowercased() == "websocket" })
        else { return nil }
        let keys = headers["sec-websocket-key"]
        // RFC 6455 section 4.2.1.
        guard keys.isEmpty || (keys.count == 1 && Self.isKey(keys[0])) else {
            return .invalidRequest("Sec-WebSocket-Key must be 16 bytes in base64")
        }
        return nil
    }

    /// Letters, digits and what else a host (RFC 3986 section 3.2.2) with a port has.
    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "-._~%!$&'()*+,;=:[]".utf8.contains(byte)
        }
    }

    /// 16 bytes are 22 characters and two signs of padding.
    private static func isKey(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 24, bytes.suffix(2).elementsEqual("==".utf8) else { return false }
        return bytes.prefix(22).allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }
}
