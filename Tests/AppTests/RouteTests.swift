import ATProtocol
import Base
import Contracts
import Testing
import Web

@testable import App

/// Plain paths and who may call them; the methods are tried by the conformance suite.
struct RouteTests {
    /// Path, and what anybody gets without credentials.
    private static let plain: [String: Int] = [
        "GET /": 200, "GET /robots.txt": 200, "GET /xrpc/_health": 200, "GET /metrics": 401, "GET /setup": 404,
        "GET /reset-password": 404,
        "POST /reset-password": 415,
        "POST /setup": 415, "GET /.well-known/atproto-did": 404, "GET /.well-known/did.json": 200,
        "GET /tls-check": 404,
        "GET /plc/export": 200, "GET /plc/:did": 404, "POST /plc/:did": 400, "GET /plc/:did/data": 404,
        "GET /plc/:did/log": 404, "GET /plc/:did/log/audit": 404, "GET /plc/:did/log/last": 404,
    ]

    @Test func everyPlainPathIsInTheTable() async throws {
        let test = TestInstance(TemporaryFolder(), ["metrics": "false"])
        try await test.serve { instance, client async throws in
            var served: [String: String] = [:]
            for route in instance.routes {
                guard case .plain(let verb) = route.kind else { continue }
                served["\(verb) \(route.name)"] = verb
            }
            #expect(Set(served.keys).subtracting(Self.plain.keys).isEmpty, "paths without a row")
            #expect(Set(Self.plain.keys).subtracting(served.keys).isEmpty, "rows without a path")
            for (name, verb) in served {
                let path = String(name.dropFirst(verb.count + 1))
                    .replacing(":did", with: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
                let body = verb == "POST" ? "{}" : nil
                let headers = verb == "POST" ? [("Content-Type", "application/json")] : []
                let answer = try await client.send(verb, path, headers: headers, body: body)
                #expect(answer.status == Self.plain[name], "\(name): \(answer.status) \(answer.text)")
            }
        }
    }

    @Test func routesAreListed() async throws {
        let output = try await RouteListing.make()
        let routes = try #require(try DataValue(json: Array(output.json.utf8)).arrayValue)
        let named = routes.filter { $0["nsid"] != nil }
        #expect(named.contains { $0["nsid"] == "com.atproto.sync.subscribeRepos" && $0["kind"] == "subscription" })
        #expect(named.contains { $0["nsid"] == "com.atproto.repo.createRecord" && $0["access"] == "session" })
        #expect(routes.contains { $0["path"] == "/setup" && $0["verb"] == "POST" && $0["access"] == "anyone" })
        #expect(output.text.contains("com.atproto.server.describeServer"))
    }

    @Test func theTicketOpensOnlyWhatIsTheOperators() async throws {
        try await TestInstance().serve { instance, client async throws in
            let word = Base64.encode(Array("admin:\(instance.localPassword.value)".utf8))
            let wrong = Base64.encode(Array("admin:wrong".utf8))
            for (credentials, expected) in [(word, 200), (wrong, 401)] {
                let answer = try await client.get(
                    "/xrpc/net.openfederation.account.list", headers: [("Authorization", "Basic \(credentials)")])
                #expect(answer.status == expected)
            }
            let own = try await client.get(
                "/xrpc/com.atproto.server.getSession", headers: [("Authorization", "Basic \(word)")])
            #expect(own.status == 401)
            // A proxy on this machine tells of callers from elsewhere.
            let elsewhere = try await client.get(
                "/xrpc/net.openfederation.account.list",
                headers: [("Authorization", "Basic \(word)"), ("X-Forwarded-For", "203.0.113.9")])
            #expect(elsewhere.status == 401)
        }
    }
}
