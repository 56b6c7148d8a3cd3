import NIOCore

/// Messages of a server, already framed for the wire (RFC 6455 section 5.2: unmasked, one frame a message).
///
/// A batch made once can be sent to any number of connections: its bytes are shared, never copied.
package struct WebSocketFrames: Sendable {
    private(set) var buffer: ByteBuffer

    /// How many messages the batch holds.
    package private(set) var messageCount: Int

    /// A batch of binary messages.
    package init(binary messages: [[UInt8]]) {
        buffer = ByteBuffer()
        buffer.reserveCapacity(messages.reduce(0) { $0 + $1.count + Self.headByteCountMax })
        messageCount = 0
        for message in messages { append(binary: message) }
    }

    /// One binary message.
    package init(binary message: [UInt8]) { self.init(binary: [message]) }

    /// One text message.
    package init(text: String) {
        buffer = ByteBuffer()
        messageCount = 1
        Self.writeHead(opcode: 0x1, byteCount: text.utf8.count, to: &buffer)
        buffer.writeString(text)
    }

    /// A batch of messages framed before by `frame(binary:)`.
    ///
    /// - Parameter messageCount: how many frames `bytes` holds.
    package init(framed bytes: [UInt8], messageCount: Int) {
        buffer = ByteBuffer(bytes: bytes)
        self.messageCount = messageCount
    }

    /// Adds a binary message.
    package mutating func append(binary message: [UInt8]) {
        Self.writeHead(opcode: 0x2, byteCount: message.count, to: &buffer)
        buffer.writeBytes(message)
        messageCount += 1
    }

    /// The batch's size on the wire.
    package var byteCount: Int { buffer.readableBytes }

    /// One binary message as a frame, for callers that keep framed messages.
    package static func frame(binary message: [UInt8]) -> [UInt8] {
        Array(WebSocketFrames(binary: message).buffer.readableBytesView)
    }

    private static let headByteCountMax = 10

    /// Writes the head of an unmasked, final frame.
    static func writeHead(opcode: UInt8, byteCount: Int, to buffer: inout ByteBuffer) {
        buffer.writeInteger(0x80 | opcode)
        switch byteCount {
        case ..<126: buffer.writeInteger(UInt8(byteCount))
        case ..<65536:
            buffer.writeInteger(UInt8(126))
            buffer.writeInteger(UInt16(byteCount))
        default:
            buffer.writeInteger(UInt8(127))
            buffer.writeInteger(UInt64(byteCount))
        }
    }
}
