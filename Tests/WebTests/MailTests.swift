import Base
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Web

/// Letters: their form, and handing them to a server of our own on loopback.
@Suite(.timeLimit(.minutes(10)))
struct MailTests {
    private static let sender = "noreply@kith.test"

    private func wire(_ message: MailMessage, from sender: String = MailTests.sender) throws -> [String] {
        let bytes = try message.wire(from: sender, id: "abc", date: Timestamp(seconds: 784_887_151))
        return String(decoding: bytes, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
            .map(String.init)
    }

    @Test func plainLetters() throws {
        let lines = try wire(MailMessage(to: "ada@mail.test", subject: "Hello", text: "One\nTwo\n"))
        #expect(
            lines == [
                "Date: Tue, 15 Nov 1994 08:12:31 +0000", "From: <noreply@kith.test>", "To: <ada@mail.test>",
                "Subject: Hello", "Message-ID: <abc@kith.test>", "MIME-Version: 1.0",
                "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64",
                "Auto-Submitted: auto-generated", "", Base64.encode(Array("One\r\nTwo\r\n".utf8)), "",
            ])
    }

    /// Whatever a name or an address holds, it stays in its line and in ASCII.
    @Test func hostileParts() throws {
        let subject = "A\r\nBcc: eve@evil.test\r\n\r\nHi =?utf-8?B?QQ==?= Ünïcödé " + String(repeating: "👩‍👩‍👧", count: 20)
        let lines = try wire(
            MailMessage(to: "ada@mail.test", subject: subject, text: String(repeating: "x", count: 999)))
        #expect(!lines.contains { $0.hasPrefix("Bcc") })
        #expect(lines.allSatisfy { $0.utf8.count <= 78 && $0.utf8.allSatisfy { (0x20...0x7E).contains($0) } })
        #expect(lines.prefix { !$0.isEmpty }.filter { !$0.hasPrefix(" ") }.count == 9)
        for address in [
            "", "ada", "a@b\r\nX: y", "a b@mail.test", "<ada@mail.test>", "ada@mail.test>", "ä@mail.test",
            String(repeating: "a", count: 400) + "@mail.test",
        ] {
            #expect(throws: MailFailure.invalidAddress, "\(address)") {
                try wire(MailMessage(to: address, subject: "x", text: ""))
            }
            #expect(throws: MailFailure.invalidAddress, "\(address)") {
                try wire(MailMessage(to: "ada@mail.test", subject: "x", text: ""), from: address)
            }
        }
    }

    @Test func servers() throws {
        for (text, protection) in [
            ("smtps://mail.test", MailServer.Protection.fromTheStart), ("smtps://u:p@mail.test:465/", .fromTheStart),
            ("smtp://mail.test:587", .afterGreeting), ("smtp://mail.test?tls=none", .none),
            ("smtp://localhost:1025", .none), ("smtp://127.0.0.1:25", .none), ("smtp://[::1]:25", .none),
            ("SMTP://mail.test", .afterGreeting),
            // Nobody is let off TLS by what stands before the @.
            ("smtp://localhost:25@mail.test", .afterGreeting),
        ] {
            #expect(MailServer(text)?.protection == protection, "\(text)")
        }
        for bad in [
            "", "mail.test", "http://mail.test", "smtp://", "smtp://mail.test:0", "smtp://mail.test:99999",
            "smtp://mail.test:x", "smtp://mail.test/path", "smtp://mail.test?tls=maybe", "smtps://mail.test?tls=none",
            "smtp://mail.test#x", "smtp://mail test", "smtp://a:b:c", "smtp://[::1",
        ] {
            #expect(MailServer(bad) == nil, "\(bad)")
        }
    }

    private func send(
        to server: FakeMailServer, _ message: MailMessage = MailMessage(to: "ada@mail.test", subject: "Hi", text: ".\n")
    ) async throws {
        let place = try #require(MailServer("smtp://127.0.0.1:\(server.port)"))
        let mail = try SMTPMail(
            place, sender: Self.sender, hostname: "kith.test", clock: ManualClock(), randomness: SystemRandomness())
        try await mail.send(message)
    }

    @Test func aLetterArrives() async throws {
        let server = try await FakeMailServer.start()
        try await send(to: server)
        let heard = server.heard
        #expect(heard.contains("EHLO kith.test"))
        #expect(heard.contains("MAIL FROM:<noreply@kith.test>") && heard.contains("RCPT TO:<ada@mail.test>"))
        #expect(heard.contains("Subject: Hi") && heard.contains(Base64.encode(Array(".\r\n".utf8))))
        try await server.stop()
    }

    @Test func refusalsAndTrouble() async throws {
        for (reply, failure) in [
            ("550 no such person", MailFailure.refused(code: 550)), ("451 later", nil), ("421 bye", nil),
        ] as [(String, MailFailure?)] {
            let server = try await FakeMailServer.start(recipientReply: reply)
            do {
                try await send(to: server)
                Issue.record("\(reply) was taken for success")
            } catch let error as MailFailure {
                if let failure {
                    #expect(error == failure)
                } else if case .unavailable = error {
                } else {
                    Issue.record("\(reply): \(error)")
                }
            }
            try await server.stop()
        }
        let gone = try await FakeMailServer.start()
        try await gone.stop()
        await #expect(throws: MailFailure.self) { try await send(to: gone) }
    }
}

/// A server that takes letters and remembers what was said.
private final class FakeMailServer: Sendable {
    private let said = Mutex<[String]>([])
    private let channel: Mutex<(any Channel)?> = Mutex(nil)
    private let portNumber = Mutex(0)

    var heard: [String] { said.withLock { $0 } }
    var port: Int { portNumber.withLock { $0 } }

    static func start(recipientReply: String = "250 ok") async throws -> FakeMailServer {
        let server = FakeMailServer()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    try child.pipeline.syncOperations.addHandler(Conversation(server, recipientReply))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        server.channel.withLock { $0 = channel }
        server.portNumber.withLock { $0 = channel.localAddress?.port ?? 0 }
        return server
    }

    func stop() async throws {
        let channel = channel.withLock { $0 }
        try await channel?.close()
    }

    /// One client: lines in, replies out.
    private final class Conversation: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let server: FakeMailServer
        private let recipientReply: String
        private var pending = ""
        private var isLetter = false

        init(_ server: FakeMailServer, _ recipientReply: String) {
            self.server = server
            self.recipientReply = recipientReply
        }

        func channelActive(context: ChannelHandlerContext) { say("220 fake", context) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            pending += String(buffer: unwrapInboundIn(data))
            while let end = pending.range(of: "\r\n") {
                let line = String(pending[..<end.lowerBound])
                pending = String(pending[end.upperBound...])
                hear(line, context)
            }
        }

        private func hear(_ line: String, _ context: ChannelHandlerContext) {
            server.said.withLock { $0.append(line) }
            if isLetter {
                guard line == "." else { return }
                isLetter = false
                return say("250 taken", context)
            }
            switch line.prefix(4).uppercased() {
            case "RCPT": say(recipientReply, context)
            case "DATA":
                isLetter = true
                say("354 go on", context)
            case "QUIT":
                say("221 bye", context)
                context.close(promise: nil)
            default: say("250 ok", context)
            }
        }

        private func say(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text + "\r\n")), promise: nil)
        }
    }
}

extension String {
    /// The first place where `text` stands.
    fileprivate func range(of text: String) -> Range<String.Index>? { firstRange(of: text) }
}
