import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Reading the audit.
struct AuditListTests {
    private static let list = "net.openfederation.audit.list"

    private func actions(_ answer: Answer) -> [String?] {
        (answer.json["entries"]?.arrayValue ?? []).map { $0["action"]?.stringValue }
    }

    @Test func filters() async throws {
        let home = try await Home()
        let adele = try await home.account("adele", maker: .operator(roles: [.admin]))
        let token = try #require(adele.grant).accessToken
        let alice = try await home.account("alice").account.did
        home.clock.advance(by: .seconds(60))
        let (input, suspend): (DataValue, DataValue) = (
            ["maxUses": 1], ["subject": ["did": .string(alice.string)], "deactivated": ["applied": true]]
        )
        _ = try await home.post("net.openfederation.invite.create", input, token: token)
        let middle = Datetime(home.clock.now()).string
        home.clock.advance(by: .seconds(60))
        _ = try await home.post("com.atproto.admin.updateSubjectStatus", suspend, token: token)
        let cases: [([(String, String)], [String])] = [
            ([("action", "invite.create")], ["invite.create"]),
            ([("action", "account.")], ["account.suspend", "account.register", "account.register"]),
            ([("action", "account")], []),
            ([("targetId", alice.string)], ["account.suspend", "account.register"]),
            ([("actorId", adele.account.did.string), ("since", middle)], ["account.suspend", "invite.create"]),
            ([("actorId", adele.account.did.string), ("until", middle)], ["account.register"]),
            ([("since", middle), ("targetId", alice.string)], ["account.suspend"]),
            ([("actorId", "nobody' OR 1=1")], []),
        ]
        for (parameters, expected) in cases {
            let answer = try await home.get(Self.list, parameters, token: token)
            #expect(actions(answer) == expected, "\(parameters): \(answer.text)")
            #expect(answer.json["total"]?.integerValue == Int64(expected.count))
        }
        let entry = try await home.get(Self.list, [("action", "account.suspend")], token: token)
        let row = try #require(entry.json["entries"]?.arrayValue?.first)
        #expect(row["id"]?.stringValue != nil && row["actorHandle"] == "adele.test")
        #expect(row["actorId"]?.stringValue == adele.account.did.string && row["meta"]?["to"] == "suspended")
        for bad in [("since", "yesterday"), ("limit", "0"), ("limit", "101"), ("cursor", "x"), ("cursor", "-1")] {
            #expect(try await home.get(Self.list, [bad], token: token).status == 400, "\(bad)")
        }
        await home.discard()
    }

    @Test func pagesStayTogetherWhileEntriesCome() async throws {
        let home = try await Home()
        for number in 0..<7 { try await home.account("user\(number)") }
        var seen: [String] = []
        var cursor: String?
        repeat {
            let parameters = [("limit", "3")] + (cursor.map { [("cursor", $0)] } ?? [])
            let page = try await home.get(Self.list, parameters, headers: Home.basic)
            seen += (page.json["entries"]?.arrayValue ?? []).compactMap { $0["id"]?.stringValue }
            cursor = page.json["cursor"]?.stringValue
            try await home.account("more\(seen.count)")
        } while cursor != nil
        #expect(seen.count == 7 && Set(seen).count == 7)
        let offset = try await home.get(Self.list, [("limit", "2"), ("offset", "1")], headers: Home.basic)
        #expect(offset.json["total"] == 10 && offset.json["offset"] == 1)
        await home.discard()
    }

    @Test func moderatorsAreNotInspectors() async throws {
        let home = try await Home()
        for (role, status) in [
            (ServerRole.admin, 200), (.auditor, 200), (.moderator, 403), (.partnerManager, 403), (.user, 403),
        ] {
            let name = role.rawValue.prefix(5) + "x"
            let grant = try #require(try await home.account(String(name), maker: .operator(roles: [role])).grant)
            #expect(try await home.get(Self.list, token: grant.accessToken).status == status, "\(role)")
        }
        #expect(try await home.get(Self.list).status == 401)
        await home.discard()
    }
}
