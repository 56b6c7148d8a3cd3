import ATProtocol
import Base
import Contracts
import Storage
import Testing
import Web

@testable import Identity

/// What staff see and do over HTTP.
struct ListTests {
    private static let list = "net.openfederation.account.list"

    @Test func pagesAndFilters() async throws {
        let home = try await Home()
        for number in 0..<5 {
            home.clock.advance(by: .seconds(1))
            try await home.account("user\(number)")
        }
        try await home.account("modesty", maker: .operator(roles: [.moderator]))
        let whole = try await home.get(Self.list, [("limit", "100")], headers: Home.basic)
        #expect(whole.json["total"] == 6 && whole.json["users"]?.arrayValue?.count == 6)
        var paged: [String?] = []
        while paged.count < 6 {
            let page = try await home.get(
                Self.list, [("limit", "4"), ("offset", "\(paged.count)")], headers: Home.basic)
            #expect(page.json["offset"]?.integerValue == Int64(paged.count))
            paged += (page.json["users"]?.arrayValue ?? []).map { $0["did"]?.stringValue }
        }
        #expect(paged == whole.json["users"]?.arrayValue?.map { $0["did"]?.stringValue })
        for (parameters, total) in [
            ([("role", "moderator")], 1), ([("role", "admin")], 0), ([("q", "USER3")], 1), ([("q", "user3@mail")], 1),
            ([("q", "user")], 5), ([("q", "%")], 0), ([("q", "_")], 0), ([("q", "\\")], 0),
            ([("status", "pending")], 0),
            ([("status", "approved"), ("q", "user1")], 1),
        ] as [([(String, String)], Int64)] {
            let answer = try await home.get(Self.list, parameters, headers: Home.basic)
            #expect(answer.json["total"]?.integerValue == total, "\(parameters): \(answer.text)")
        }
        for bad in [("status", "odd"), ("role", "odd"), ("limit", "0"), ("limit", "101"), ("offset", "-1")] {
            #expect(try await home.get(Self.list, [bad], headers: Home.basic).status == 400, "\(bad)")
        }
        await home.discard()
    }

    @Test func waitingAccountsOldestFirst() async throws {
        let home = try await Home { $0.approval = .required }
        for number in 0..<3 {
            home.clock.advance(by: .seconds(1))
            try await home.account("user\(number)")
        }
        let answer = try await home.get("net.openfederation.account.listPending", headers: Home.basic)
        let handles = answer.json["users"]?.arrayValue?.map { $0["handle"]?.stringValue }
        #expect(handles == ["user0.test", "user1.test", "user2.test"])
        await home.discard()
    }

    @Test func restrictionsOverTheProtocol() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        let admin = try await home.account("adele", maker: .operator(roles: [.admin])).account.did
        let moderator = try await home.account("modesty", maker: .operator(roles: [.moderator]))
        let token = try #require(moderator.grant).accessToken
        func update(_ did: DID, _ change: DataMap, token: String? = nil) async throws -> Answer {
            var input = change
            input["subject"] = ["$type": "com.atproto.admin.defs#repoRef", "did": .string(did.string)]
            return try await home.post(
                "com.atproto.admin.updateSubjectStatus", .map(input), token: token,
                headers: token == nil ? Home.basic : [])
        }
        let (applied, lifted): (DataValue, DataValue) = (["applied": true], ["applied": false])
        let cases: [(DataMap, AccountStatus)] = [
            (["deactivated": applied], .suspended), (["takedown": applied], .takendown),
            (["deactivated": lifted], .takendown), (["takedown": lifted], .approved),
            (["takedown": lifted, "deactivated": applied], .suspended), (["takedown": lifted], .suspended),
            (["deactivated": lifted], .approved), ([:], .approved),
        ]
        for (change, expected) in cases {
            let answer = try await update(did, change)
            #expect(answer.status == 200, "\(change): \(answer.text)")
            #expect(answer.json["takedown"]?["applied"]?.booleanValue == (expected == .takendown))
            #expect(try await home.accounts.account("alice").status == expected, "\(change)")
            let told = try await home.get(
                "com.atproto.admin.getSubjectStatus", [("did", did.string)], headers: Home.basic)
            #expect(told.json == answer.json)
        }
        #expect(try await update(did, ["takedown": applied, "deactivated": lifted]).error == "InvalidRequest")
        #expect(try await home.accounts.account("alice").status == .approved)
        #expect(try await update(did, ["takedown": applied], token: token).status == 403)
        #expect(try await update(did, ["deactivated": applied], token: token).status == 200)
        #expect(try await update(admin, ["deactivated": applied]).status == 403)
        let record = try await home.post(
            "com.atproto.admin.updateSubjectStatus",
            ["subject": ["$type": "com.atproto.repo.strongRef", "uri": "at://x.test/a.b.c/d", "cid": "x"]],
            headers: Home.basic)
        #expect(record.status == 400)
        #expect(
            try await home.post(
                "com.atproto.admin.deleteAccount", ["did": .string(did.string)], headers: Home.basic
            ).status == 200)
        #expect(
            try await home.get(
                "com.atproto.admin.getSubjectStatus", [("did", did.string)], headers: Home.basic
            ).status == 400)
        await home.discard()
    }

    @Test func everyRouteForEveryone() async throws {
        let home = try await Home()
        let alice = try #require(try await home.account("alice").grant).accessToken
        for route in home.routes {
            let isQuery = route.kind == .query || route.kind == .plain("GET")
            func status(_ token: String?, _ headers: [(String, String)] = []) async throws -> (Int, String?) {
                let answer =
                    isQuery
                    ? try await home.get(route.name, token: token, headers: headers)
                    : try await home.post(route.name, [:], token: token, headers: headers)
                return (answer.status, answer.error)
            }
            let nobody = try await status(nil)
            switch route.access.credential {
            case .none: #expect(nobody.0 != 401 && nobody.0 != 403 || nobody.1 == "AuthMissing", "\(route)")
            case .optional: #expect(nobody.0 != 401, "\(route)")
            default: #expect(nobody == (401, "AuthMissing"), "\(route)")
            }
            // Everybody has some role; what they may do with a route for all of them is tested there.
            guard case .anyRole(let roles) = route.access.credential, !roles.contains(.user) else { continue }
            #expect(try await status(alice) == (403, "Forbidden"), "\(route)")
            #expect(try await status(nil, Home.basic).0 != 403, "\(route)")
        }
        #expect(Set(home.routes.map(\.name)).count == home.routes.count - 1, "POST and GET share /plc/:did")
        await home.discard()
    }
}
