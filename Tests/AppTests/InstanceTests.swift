import ATProtocol
import Base
import Foundation
import NIOHTTP1
import Storage
import Testing

@testable import App

struct InstanceTests {
    private static let account =
        #"{"handle":"ada.test","email":"ada@mail.test","password":"Seven-Quiet-Rivers-7"}"#

    private func signIn(_ client: TestClient) async throws -> Int {
        try await client.call(
            "com.atproto.server.createSession", #"{"identifier":"ada","password":"Seven-Quiet-Rivers-7"}"#
        ).status
    }

    @Test func whoseDatabaseWasMovedIsTakenOut() async throws {
        try await TestInstance().serve { instance, client async throws in
            #expect(try await client.get("/xrpc/_health").status == 200)
            func mark(_ phase: String) async throws {
                _ = try await instance.store.database.write { scope in
                    try scope.execute("DELETE FROM storage_copy")
                    try scope.execute(
                        """
                        INSERT INTO storage_copy (id, phase, token, peer, generation, until)
                        VALUES (1, $1, 't', 'elsewhere', 1, 0)
                        """, [.text(phase)])
                }
            }
            try await mark("held")
            #expect(try await client.get("/xrpc/_health").status == 200)
            try await mark("moved")
            let answer = try await client.get("/xrpc/_health")
            #expect(answer.status == 503 && answer.headers["Retry-After"] == ["1"], "\(answer.text)")
            #expect(answer.text.contains("was moved") && !answer.text.contains("elsewhere"))
        }
    }

    @Test func aTakenPortIsToldOfInASentence() async throws {
        try await TestInstance().serve { _, client async throws in
            var other = TestInstance()
            other.settings["port"] = "\(client.port)"
            let instance = try await other.open()
            await #expect {
                try await AdministrationSession.withServing(instance) { _ in }
            } throws: { "\($0)" == "can't listen on 127.0.0.1 port \(client.port): Address already in use" }
            await instance.close()
        }
    }

    @Test func whatItKeepsOutlivesIt() async throws {
        let test = TestInstance()
        try await test.serve { _, client async throws in
            let health = try DataValue(json: Array(try await client.get("/xrpc/_health").text.utf8))
            #expect(health["version"] == .string(KithVersion.text))
            #expect(health["roles"]?.arrayValue?.count == ProcessRole.all.parts.count)
            #expect(try await client.call("com.atproto.server.createAccount", Self.account).status == 200)
            #expect(try await signIn(client) == 200)
        }
        try await test.serve { _, client async throws in
            #expect(try await signIn(client) == 200)
        }
    }

    @Test func instancesOfOneProcessShareNothing() async throws {
        let (one, other) = (TestInstance(), TestInstance())
        try await one.serve { _, first async throws in
            try await other.serve { _, second async throws in
                #expect(try await first.call("com.atproto.server.createAccount", Self.account).status == 200)
                #expect(try await signIn(first) == 200)
                #expect(try await signIn(second) == 401)
                #expect(try await second.call("com.atproto.server.createAccount", Self.account).status == 200)
            }
            #expect(try await signIn(first) == 200)
        }
    }

    @Test func aPortInUseEndsIt() async throws {
        try await TestInstance().serve { _, client async throws in
            let late = TestInstance(TemporaryFolder(), ["port": String(client.port)])
            await #expect(throws: (any Error).self) { try await late.serve { _, _ in } }
        }
    }

    @Test func theConfiguredAdministratorIsThere() async throws {
        let test = TestInstance(
            TemporaryFolder(),
            [
                "bootstrap.admin-handle": "warden", "bootstrap.admin-email": "warden@mail.test",
                "bootstrap.admin-password": "Copper-Lantern-41",
            ])
        for _ in 1...2 {
            try await test.serve { instance, client async throws in
                let session = try await client.call(
                    "com.atproto.server.createSession", #"{"identifier":"warden","password":"Copper-Lantern-41"}"#)
                #expect(session.status == 200)
                await instance.greet()
            }
        }
        #expect(!test.told.all.contains { $0.contains("setup") })
        #expect(!test.log.all.contains { $0.contains("Copper-Lantern-41") })
    }

    @Test func theSetUpLinkIsToldWhileThereIsNoAdministrator() async throws {
        let test = TestInstance()
        try await test.serve { instance, client async throws in
            await instance.greet()
            let link = try #require(test.told.all.last?.firstMatch(of: /\/setup\?token=(\S+)/))
            let shown = try await client.get(String(link.output.0))
            #expect(shown.status == 200)
            #expect(try await client.get("/setup?token=wrong").status == 404)
            let made = try await client.send(
                "POST", "/setup", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: "token=\(link.output.1)&handle=ada&email=ada%40mail.test&password=Seven-Quiet-Rivers-7")
            #expect(made.status == 200, "\(made.text)")
            #expect(try await client.get(String(link.output.0)).status == 404)
            await instance.greet()
            #expect(!(test.told.all.last ?? "").contains("setup"))
        }
    }

    @Test func describeServerSaysWhatIsConfigured() async throws {
        let test = TestInstance(
            TemporaryFolder(),
            [
                "invite-required": "true", "contact-email": "me@mail.test", "handle-domains": ".a.test,.b.test",
                "privacy-policy": "https://a.test/privacy", "blobs.size-max": "5 MB",
            ])
        try await test.serve { _, client async throws in
            let text = try await client.get("/xrpc/com.atproto.server.describeServer").text
            for part in [
                #""inviteCodeRequired":true"#, #""availableUserDomains":[".a.test",".b.test"]"#,
                #""email":"me@mail.test""#, #""privacyPolicy":"https://a.test/privacy""#, #""blobUploadLimit":5000000"#,
                #""did":"did:web:localhost%3A8080""#,
            ] {
                #expect(text.contains(part), "\(part) is missing in \(text)")
            }
            let robots = try await client.get("/robots.txt")
            #expect(robots.text == "User-agent: *\nAllow: /\n")
        }
    }

    @Test func metricsAreTheOperatorsUnlessShown() async throws {
        try await TestInstance(TemporaryFolder(), ["development": "false", "rate-limits": "false"]).serve {
            instance, client async throws in
            #expect(try await client.get("/metrics").status == 401)
            let word = Base64.encode(Array("admin:\(instance.localPassword.value)".utf8))
            let shown = try await client.get("/metrics", headers: [("Authorization", "Basic \(word)")])
            #expect(shown.status == 200 && shown.text.contains("kith_http_connections"))
        }
        try await TestInstance().serve { _, client async throws in
            #expect(try await client.get("/metrics").status == 200)
        }
    }
}
