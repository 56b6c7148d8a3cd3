import ATProtocol
import Base
import Foundation
import Testing

@testable import App

/// Any subset of the parts: what isn't run answers 404, what is run answers as ever.
struct RoleTests {
    /// A route of each part, with what a stranger gets where it is served.
    private static let probes: [(part: ProcessRole, path: String, status: Int)] = [
        (.identity, "/xrpc/com.atproto.server.getSession", 401), (.identity, "/plc/export", 200),
        (.repositories, "/xrpc/com.atproto.sync.listRepos", 200), (.blobs, "/xrpc/com.atproto.sync.getBlob", 400),
        (.firehose, "/xrpc/com.atproto.sync.subscribeRepos", 426), (.pages, "/", 200),
    ]

    @Test(arguments: [
        "all", "web", "worker", "identity", "repositories", "blobs,firehose", "pages,worker", "firehose,identity,pages",
    ])
    func absentPartsAnswer404(roles: String) async throws {
        let test = TestInstance(TemporaryFolder(), ["roles": roles])
        try await test.serve { instance, client async throws in
            let parts = instance.configuration.parts
            let health = try DataValue(json: Array(try await client.get("/xrpc/_health").text.utf8))
            #expect(health["roles"] == .array(parts.map(\.rawValue).sorted().map { .string($0) }))
            for probe in Self.probes {
                let answer = try await client.get(probe.path)
                #expect(answer.status == (parts.contains(probe.part) ? probe.status : 404), "\(roles): \(probe.path)")
            }
            #expect(try await client.get("/xrpc/com.atproto.server.describeServer").status == 200)
        }
    }
}
