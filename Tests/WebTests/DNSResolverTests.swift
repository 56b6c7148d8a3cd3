import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Web

/// c-ares against a name server of our own on loopback.
@Suite(.timeLimit(.minutes(10)))
struct DNSResolverTests {
    private func withResolver(
        _ zone: [String: [FakeNameServer.Record]],
        timeout: Duration = .seconds(5),
        _ body: (DNSResolver, FakeNameServer) async throws -> Void
    ) async throws {
        let server = try await FakeNameServer.start(zone)
        var configuration = DNSResolver.Configuration()
        configuration.servers = ["127.0.0.1:\(server.port)"]
        configuration.timeout = timeout
        configuration.readsHostsFile = false
        try await body(try DNSResolver(configuration), server)
        try await server.stop()
    }

    @Test func textRecords() async throws {
        let long = String(repeating: "x", count: 255)
        try await withResolver([
            "_atproto.alice.test": [.text(["did=did:plc:abc"])],
            "_atproto.two.test": [.text(["did=did:plc:1"]), .text(["other", " text"])],
            "_atproto.long.test": [.text([long, "y"])],
        ]) { resolver, _ in
            #expect(try await resolver.textRecords(of: "_atproto.alice.test") == ["did=did:plc:abc"])
            let two = try await resolver.textRecords(of: "_atproto.two.test")
            #expect(Set(two) == ["did=did:plc:1", "other text"])
            #expect(try await resolver.textRecords(of: "_atproto.long.test") == [long + "y"])
        }
    }

    @Test func addresses() async throws {
        try await withResolver([
            "both.test": [
                .ipv4(192, 0, 2, 1), .ipv4(192, 0, 2, 2),
                .ipv6([0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]),
            ],
            "four.test": [.ipv4(198, 51, 100, 7)],
        ]) { resolver, _ in
            let both = try await resolver.addresses(of: "both.test")
            #expect(Set(both.map(\.description)) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"])
            #expect(try await resolver.addresses(of: "four.test") == [IPAddress(198, 51, 100, 7)])
        }
    }

    @Test func whatIsNotThere() async throws {
        try await withResolver(["a.test": [.ipv4(192, 0, 2, 1)], "refused.test": [.refused]]) { resolver, server in
            await #expect(throws: DNSFailure.notFound) { try await resolver.textRecords(of: "missing.test") }
            await #expect(throws: DNSFailure.notFound) { try await resolver.addresses(of: "missing.test") }
            await #expect(throws: DNSFailure.notFound) { try await resolver.textRecords(of: "a.test") }
            await #expect(throws: DNSFailure.self) { try await resolver.textRecords(of: "refused.test") }
            let count = server.questionCount
            for name in [
                "", "a..b", ".", "a b.test", String(repeating: "a", count: 64) + ".test", "ü.test", "a\\.test",
            ] {
                await #expect(throws: DNSFailure.invalidName) { try await resolver.textRecords(of: name) }
            }
            #expect(server.questionCount == count)
        }
    }

    @Test func silenceEndsInTime() async throws {
        try await withResolver(["silent.test": [.silence]], timeout: .milliseconds(200)) { resolver, server in
            await #expect(throws: DNSFailure.timeout) { try await resolver.textRecords(of: "silent.test") }
            #expect(server.questionCount >= 1)
        }
    }

    @Test func garbageIsNotBelieved() async throws {
        try await withResolver(["garbage.test": [.garbage]], timeout: .milliseconds(200)) { resolver, _ in
            await #expect(throws: DNSFailure.self) { try await resolver.textRecords(of: "garbage.test") }
            await #expect(throws: DNSFailure.self) { try await resolver.addresses(of: "garbage.test") }
        }
    }

    @Test func manyAtOnce() async throws {
        let zone = Dictionary(
            uniqueKeysWithValues: (0..<200).map { ("n\($0).test", [FakeNameServer.Record.text(["value \($0)"])]) })
        try await withResolver(zone) { resolver, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let found = try await resolver.textRecords(of: "n\(index).test")
                        #expect(found == ["value \(index)"])
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func questionsAreBounded() async throws {
        let server = try await FakeNameServer.start(["held.test": [.held]])
        var configuration = DNSResolver.Configuration()
        configuration.servers = ["127.0.0.1:\(server.port)"]
        configuration.timeout = .seconds(50)
        configuration.questionCountMax = 4
        let resolver = try DNSResolver(configuration)
        await withTaskGroup(of: DNSFailure?.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    do throws(DNSFailure) {
                        _ = try await resolver.textRecords(of: "held.test")
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            // Nobody is answered before all others were turned away.
            for _ in 0..<6 { #expect(await group.next() == .some(.busy)) }
            server.release()
            for _ in 0..<4 { #expect(await group.next() == .some(.notFound)) }
        }
        try await server.stop()
    }

    @Test func badServersAreRefused() {
        var configuration = DNSResolver.Configuration()
        configuration.servers = ["not an address"]
        #expect(throws: DNSFailure.self) { try DNSResolver(configuration) }
    }
}
