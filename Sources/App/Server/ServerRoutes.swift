import ATProtocol
import Base
import Contracts
import Identity
import Storage
import Web

/// What the server says of itself: `describeServer`, its health, its metrics, and how robots are to behave.
struct ServerRoutes: Sendable {
    let configuration: Configuration
    let did: DID
    let database: any Database
    let metrics: MetricRegistry
    let accounts: AccountService

    func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.query("com.atproto.server.describeServer", access: .anyone) { _ in describe() }
        routes.query("net.openfederation.server.getConfig", access: .inspector) { _ in try await configured() }
        routes.query(
            "net.openfederation.server.getPublicConfig", access: .anyone, limits: [.perAddress(.federation)]
        ) { _ in try await publicly() }
        routes.get("/xrpc/_health", access: .anyone) { _ in try await health() }
        routes.get("/robots.txt", access: .anyone) { _ in .text("User-agent: *\nAllow: /\n") }
        let metrics = metrics
        routes.get("/metrics", access: configuration.showsMetrics ? .anyone : .auditor) { _ in metrics.response() }
    }

    private func describe() -> XRPCResponse {
        var output: DataMap = [
            "did": .string(did.string),
            "availableUserDomains": .array(configuration.handleDomains.map { .string($0) }),
            "inviteCodeRequired": .boolean(configuration.requiresInvite), "phoneVerificationRequired": false,
            "blobUploadLimit": .integer(Int64(configuration.blobSizeBytesMax)),
        ]
        let presentation = configuration.presentation
        var links = DataMap()
        links["privacyPolicy"] = presentation.privacyPolicy.map { .string($0) }
        links["termsOfService"] = presentation.termsOfService.map { .string($0) }
        output["links"] = .map(links)
        var contact = DataMap()
        contact["email"] = presentation.contactEmail.map { .string($0) }
        output["contact"] = .map(contact)
        return .json(.map(output))
    }

    /// What anybody may know of the server: from counters, so that asking often costs nothing.
    private func publicly() async throws -> XRPCResponse {
        var map = common
        map["serviceUrl"] = .string(configuration.name.url)
        map["webUrl"] = .string(configuration.name.url)
        map["stats"] = [
            "activeCommunities": 0, "totalUsers": .integer(try await accounts.counts().count(of: .approved)),
        ]
        return .json(.map(map))
    }

    private func configured() async throws -> XRPCResponse {
        let (counts, invites) = (try await accounts.counts(), try await accounts.inviteCounts())
        var map = common
        map["stats"] = [
            "totalUsers": .integer(counts.count(of: nil)), "pendingUsers": .integer(counts.count(of: .pending)),
            "approvedUsers": .integer(counts.count(of: .approved)), "totalCommunities": 0, "activeCommunities": 0,
            "suspendedCommunities": 0, "totalInvites": .integer(Int64(invites.total)),
            "activeInvites": .integer(Int64(invites.active)),
        ]
        return .json(.map(map))
    }

    private var common: DataMap {
        [
            "service": "kith", "version": .string(KithVersion.number),
            "hostname": .string(configuration.name.authority),
            "inviteRequired": .boolean(configuration.requiresInvite),
            "approvalRequired": .boolean(configuration.requiresApproval),
        ]
    }

    private func health() async throws -> XRPCResponse {
        do {
            try await CopyMark.confirmServing(database)
        } catch CopyError.moved {
            throw HealthFailure(message: "The database was moved; this process doesn't know where to.")
        } catch {
            throw HealthFailure(message: "The database does not answer.")
        }
        return .json([
            "version": .string(KithVersion.text),
            "roles": .array(configuration.parts.map(\.rawValue).sorted().map { .string($0) }),
        ])
    }
}

/// Requests had better go to another process.
private struct HealthFailure: WireConvertible {
    let message: String

    var wire: WireFailure {
        WireFailure(
            status: 503, error: "ServiceUnavailable", message: message,
            headers: [.init(name: "Retry-After", value: "1")])
    }
}
