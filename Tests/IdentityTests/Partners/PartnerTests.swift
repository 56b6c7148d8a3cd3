import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// Keys of partners: how they are made and end, and what is registered with them.
struct PartnerTests {
    private static let origin = "https://app.example"
    private static let create = "net.openfederation.partner.createKey"
    private static let register = "net.openfederation.partner.register"
    private static let verify = "net.openfederation.partner.verifyKey"
    private static let revoke = "net.openfederation.partner.revokeKey"
    private static let list = "net.openfederation.partner.listKeys"

    private func createKey(_ home: Home, _ changes: DataMap = [:]) async throws -> Answer {
        var input: DataMap = ["name": "web", "partnerName": "Example", "allowedOrigins": [.string(Self.origin)]]
        for (name, value) in changes { input[name] = value }
        return try await home.post(Self.create, .map(input), headers: Home.basic)
    }

    private func register(
        _ home: Home, _ name: String, key: String?, origin: String? = PartnerTests.origin
    ) async throws -> Answer {
        var headers: [(String, String)] = []
        if let key { headers.append(("X-Partner-Key", key)) }
        if let origin { headers.append(("origin", origin)) }
        return try await home.post(
            Self.register,
            [
                "handle": .string(name), "email": .string("\(name)@mail.test"), "password": .string(Home.password),
            ], headers: headers)
    }

    @Test func aKeyWorksAtOnce() async throws {
        let home = try await Home {
            $0.invites = .required
            $0.approval = .required
        }
        let made = try await createKey(home)
        #expect(made.status == 201, "\(made.text)")
        let key = try #require(made.json["key"]?.stringValue)
        #expect(key.hasPrefix("ofp_") && key.count == 68)
        #expect(made.json["keyPrefix"]?.stringValue == String(key.prefix(12)))
        #expect(made.json["verificationState"] == "pending" && made.json["rateLimitPerHour"] == 100)
        let answer = try await register(home, "alice", key: key)
        #expect(answer.status == 201, "\(answer.text)")
        #expect(answer.json["status"] == "approved" && answer.json["active"] == true)
        let token = try #require(answer.json["accessJwt"]?.stringValue)
        #expect(try await home.get("com.atproto.server.getSession", token: token).status == 200)
        #expect(answer.json["did"] == answer.json["id"])
        let listed = try await home.get(Self.list, headers: Home.basic).json["keys"]?.arrayValue?.first
        #expect(listed?["totalRegistrations"] == 1 && listed?["lastUsedAt"]?.stringValue != nil)
        let entry = try #require(try await home.audit(.partnerRegister).first)
        #expect(entry.target == answer.json["did"]?.stringValue && entry.meta["partner"] == "Example")
        #expect(try await home.audit(.partnerKeyCreate).first?.meta.contains { $0.value == .string(key) } == false)
        await home.discard()
    }

    @Test func theKeyItselfIsNotKept() async throws {
        let home = try await Home()
        let key = try #require(try await createKey(home).json["key"]?.stringValue)
        let rows = try await home.database.read { try $0.query("SELECT digest, prefix FROM partner_key") }
        #expect(try rows[0].blob(0).count == 32 && rows[0].text(1) == String(key.prefix(12)))
        #expect(try await home.get(Self.list, headers: Home.basic).text.contains(key) == false)
        await home.discard()
    }

    @Test func keysAndOriginsAreChecked() async throws {
        let home = try await Home()
        let key = try #require(
            try await createKey(home, ["allowedOrigins": ["https://App.Example:443/", "http://localhost:3000"]])
                .json["key"]?.stringValue)
        #expect(try await register(home, "alice", key: nil).error == "AuthRequired")
        var flipped = Array(key.utf8)
        flipped[40] = flipped[40] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        for wrong in [
            "", "ofp_", String(key.dropLast()), key + "A", String(decoding: flipped, as: UTF8.self),
            key.replacing("ofp_", with: "ofq_"), "ofp_" + String(repeating: "!", count: 64),
        ] {
            let answer = try await register(home, "alice", key: wrong)
            #expect(answer.status == 401, "\(wrong): \(answer.text)")
        }
        for origin in [
            nil, "", "null", "http://app.example", "https://app.example.evil.test", "https://evil.test",
            "https://app.example:444", "http://localhost:3001", "https://user@app.example",
        ] {
            let answer = try await register(home, "alice", key: key, origin: origin)
            #expect(answer.status == 403 && answer.error == "Forbidden", "\(origin ?? "none"): \(answer.text)")
        }
        #expect(try await register(home, "alice", key: key).status == 201)
        #expect(try await register(home, "bobby", key: key, origin: "http://localhost:3000").status == 201)
        #expect(try await register(home, "bobby", key: key).error == "AccountExists")
        #expect(try await register(home, "admin", key: key).error == "InvalidHandle", "reserved names stay so")
        #expect(try await home.accounts.counts().count(of: nil) == 2)
        await home.discard()
    }

    @Test func badRequestsForKeys() async throws {
        let home = try await Home()
        let cases: [DataMap] = [
            ["name": ""], ["partnerName": ""], ["name": .string(String(repeating: "x", count: 256))],
            ["allowedOrigins": []], ["allowedOrigins": ["ftp://app.example"]],
            ["allowedOrigins": ["https://app.example/path"]], ["allowedOrigins": ["https://app.example?x"]],
            ["allowedOrigins": ["https://"]], ["allowedOrigins": ["*"]], ["rateLimitPerHour": 0],
            ["rateLimitPerHour": 10_001], ["permissions": []], ["permissions": ["everything"]],
        ]
        for changes in cases {
            #expect(try await createKey(home, changes).status == 400, "\(changes)")
        }
        await home.discard()
    }

    @Test func revocationHoldsAtOnce() async throws {
        let home = try await Home()
        let made = try await createKey(home)
        let (id, key) = (try #require(made.json["id"]), try #require(made.json["key"]?.stringValue))
        let revoked = try await home.post(Self.revoke, ["id": id], headers: Home.basic)
        #expect(revoked.json == ["id": id, "status": "revoked"])
        #expect(try await register(home, "alice", key: key).error == "Unauthorized")
        #expect(try await home.post(Self.revoke, ["id": id], headers: Home.basic).error == "AlreadyRevoked")
        #expect(try await home.post(Self.revoke, ["id": "none"], headers: Home.basic).status == 404)
        #expect(try await home.post(Self.verify, ["id": id], headers: Home.basic).error == "AlreadyRevoked")
        await home.discard()
    }

    /// A key that is revoked while somebody registers with it: who is told that it is revoked can rely on it.
    @Test func revocationUnderRaces() async throws {
        let home = try await Home()
        let made = try await createKey(home)
        let (id, key) = (
            try #require(made.json["id"]?.stringValue), try #require(made.json["key"]?.stringValue)
        )
        let count = try await withThrowingTaskGroup(of: Int64?.self) { group in
            for number in 0..<16 {
                group.addTask {
                    _ = try await register(home, "user\(number)", key: key)
                    return nil
                }
            }
            group.addTask {
                _ = try await home.module.partners.revokeKey(id, by: .operator)
                return try await home.accounts.counts().count(of: nil)
            }
            var count: Int64?
            for try await result in group { count = result ?? count }
            return count
        }
        #expect(try await home.accounts.counts().count(of: nil) == count, "nobody came in after the key had ended")
        await home.discard()
    }

    @Test func theHourIsExactUnderRaces() async throws {
        let home = try await Home()
        let key = try #require(try await createKey(home, ["rateLimitPerHour": 5]).json["key"]?.stringValue)
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<20 {
                group.addTask { try await register(home, "user\(number)", key: key).status }
            }
            return try await group.reduce(into: [:] as [Int: Int]) { $0[$1, default: 0] += 1 }
        }
        #expect(statuses == [201: 5, 429: 15])
        #expect(try await home.accounts.counts().count(of: nil) == 5)
        let refused = try await register(home, "later", key: key)
        #expect(refused.response.header("retry-after") == "3600")
        // It is the database that remembers: another process, or this one after a restart, counts on.
        await home.close()
        let again = try await Home(existing: home)
        again.clock.advance(by: .seconds(3599))
        #expect(try await register(again, "later", key: key).status == 429)
        again.clock.advance(by: .seconds(1))
        #expect(try await register(again, "later", key: key).status == 201)
        await again.discard()
    }

    @Test func failedTriesAreNotCounted() async throws {
        let home = try await Home()
        let key = try #require(try await createKey(home, ["rateLimitPerHour": 2]).json["key"]?.stringValue)
        #expect(try await register(home, "alice", key: key).status == 201)
        for _ in 0..<3 { #expect(try await register(home, "alice", key: key).error == "AccountExists") }
        #expect(try await register(home, "bobby", key: key).status == 201)
        #expect(try await register(home, "carol", key: key).error == "RateLimitExceeded")
        await home.discard()
    }

    @Test func proofOfOrigins() async throws {
        let home = try await Home()
        let made = try await createKey(home, ["allowedOrigins": ["https://app.example", "https://two.example"]])
        let id = try #require(made.json["id"])
        let body = try #require(made.json["verification"]?["wellKnownBody"]?.stringValue)
        let path = try #require(made.json["verification"]?["wellKnownPath"]?.stringValue)
        func verify() async throws -> Answer { try await home.post(Self.verify, ["id": id], headers: Home.basic) }
        #expect(try await verify().error == "VerificationFailed")
        home.world.page("https://app.example" + path, body)
        #expect(try await verify().error == "VerificationFailed", "one of two is not all")
        for wrong in ["{}", "x", #"{"token":"x"}"#, #"{"token":7}"#] {
            home.world.page("https://two.example" + path, wrong)
            #expect(try await verify().error == "VerificationFailed", "\(wrong)")
        }
        home.world.page("https://two.example" + path, status: 302, body)
        #expect(try await verify().error == "VerificationFailed")
        home.world.page("https://two.example" + path, body)
        let verified = try await verify()
        #expect(verified.json["verificationState"] == "verified" && verified.json["alreadyVerified"] == nil)
        #expect(verified.json["verifiedOrigins"] == ["https://app.example", "https://two.example"])
        #expect(try await verify().json["alreadyVerified"] == true)
        #expect(try await home.audit(.partnerKeyVerified).count == 1)
        #expect(try await home.audit(.partnerKeyVerifyFailed).count == 7)
        let listed = try await home.get(Self.list, headers: Home.basic).json["keys"]?.arrayValue?.first
        #expect(listed?["verificationState"] == "verified")
        await home.discard()
    }

    @Test func whoMayDoWhat() async throws {
        let home = try await Home()
        let expected: [ServerRole: (Int, Int)] = [
            .admin: (201, 200), .partnerManager: (201, 200), .auditor: (403, 200), .moderator: (403, 403),
            .user: (403, 403),
        ]
        for (role, (create, list)) in expected {
            let name = String(role.rawValue.prefix(5)) + "x"
            let token = try #require(try await home.account(name, maker: .operator(roles: [role])).grant).accessToken
            let input: DataValue = [
                "name": "web", "partnerName": "Example", "allowedOrigins": [.string(Self.origin)],
            ]
            #expect(try await home.post(Self.create, input, token: token).status == create, "\(role)")
            #expect(try await home.get(Self.list, token: token).status == list, "\(role)")
        }
        await home.discard()
    }

    @Test func pages() async throws {
        let home = try await Home()
        for number in 0..<5 {
            home.clock.advance(by: .seconds(1))
            _ = try await createKey(home, ["name": .string("key\(number)")])
        }
        var names: [String?] = []
        var cursor: String?
        repeat {
            let parameters = [("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? [])
            let page = try await home.get(Self.list, parameters, headers: Home.basic)
            names += (page.json["keys"]?.arrayValue ?? []).map { $0["name"]?.stringValue }
            cursor = page.json["cursor"]?.stringValue
        } while cursor != nil
        #expect(names == ["key4", "key3", "key2", "key1", "key0"])
        await home.discard()
    }
}
