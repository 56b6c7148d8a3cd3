import ATProtocol
import Base
import Contracts
import Foundation
import Logging
import Web

/// Every route of an instance with who may call it.
package enum RouteListing {
    /// Builds an instance in a folder of its own, asks it and throws it away.
    package static func make() async throws -> CommandOutput {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "kith-routes-" + Hex.encode(SystemRandomness().bytes(8))
        ).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let configuration = try Configuration(layers: [ConfigurationLayer(flags: ["data": folder])])
        let quiet = Logger(label: "kith") { _ in SwiftLogNoOpLogHandler() }
        let instance = try await Instance.open(configuration, Surroundings(logger: quiet))
        let routes = instance.routes
        await instance.close()
        return output(routes)
    }

    static func output(_ routes: [RouteDescription<AccessRule>]) -> CommandOutput {
        let sorted = routes.map { ($0, name(of: $0)) }.sorted { $0.1 < $1.1 }
        let values: [DataValue] = sorted.map { route, name in
            let access = DataValue.string(route.access.description)
            guard case .plain(let verb) = route.kind else {
                return ["nsid": .string(name), "kind": .string(kind(of: route)), "access": access]
            }
            return ["path": .string(route.name), "verb": .string(verb), "access": access]
        }
        let table = TextTable(
            ["ROUTE", "KIND", "WHO MAY CALL"], sorted.map { [$0.1, kind(of: $0.0), $0.0.access.description] })
        return CommandOutput(.array(values), text: table.text)
    }

    private static func name(of route: RouteDescription<AccessRule>) -> String {
        if case .plain(let verb) = route.kind { "\(verb) \(route.name)" } else { route.name }
    }

    private static func kind(of route: RouteDescription<AccessRule>) -> String {
        switch route.kind {
        case .query: "query"
        case .procedure: "procedure"
        case .subscription: "subscription"
        case .plain: "page"
        case .fallback: "fallback"
        }
    }
}
