import ATProtocol
import Base
import Contracts
import Foundation
import Identity
import Logging
import Storage
import TestDatabases
import Web

/// A server's Identity wing over a real database, with repositories and a world outside that live in memory.
final class Home: Sendable {
    let directory: String
    let scratch: ScratchDatabase
    let database: any Database
    let log: EventLog
    let clock: ManualClock
    let world: World
    let repositories: TestRepositories
    let records: TestRecords
    let letters = TestMail()
    let vault: KeyVault
    let foundation: IdentityFoundation
    let module: IdentityModule
    let responder: XRPCResponder<Caller, AccessRule>
    let routes: [RouteDescription<AccessRule>]

    static let operatorPassword = "Operator-Password-1"
    static let password = "Seven-Quiet-Rivers-7"

    var accounts: AccountService { module.accounts }
    var sessions: SessionService { foundation.sessions }
    var identities: DirectoryService { foundation.directory }

    /// - Parameters:
    ///   - existing: the directory of another home that was closed, to open it again.
    ///   - configure: changes to a server on `localhost:8080` without invites and approval.
    init(
        existing: Home? = nil, limiter: RateLimiter? = nil, failing: TestRepositories.Failure? = nil,
        sleeper: any Clock<Duration> = ContinuousClock(),
        configure: (inout IdentityConfiguration) -> Void = { _ in }
    ) async throws {
        directory =
            existing?.directory ?? NSTemporaryDirectory() + "kith-identity-" + Hex.encode(SystemRandomness().bytes(8))
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        clock = existing?.clock ?? ManualClock()
        world = existing?.world ?? World()
        scratch = try existing?.scratch ?? ScratchDatabase()
        database = try scratch.open()
        _ = try await Migrator(IdentityModule.migrations, clock: clock).migrate(database)
        log = try await EventLog.open(database)
        repositories = TestRepositories(log: log, clock: clock, failure: failing)
        records = TestRecords(database: database)
        let randomness = SystemRandomness()
        vault = try KeyVault(secret: "a secret of at least thirty-two bytes", randomness: randomness)
        let configuration = try Self.configuration(configure)
        foundation = try await IdentityFoundation.open(
            configuration, database: database, vault: vault, lookup: world, clock: clock, randomness: randomness,
            limiter: limiter, sleeper: sleeper)
        module = IdentityModule(
            foundation, log: log, repositories: repositories, records: records, vault: vault,
            randomness: randomness, outbound: world,
            mail: letters)
        (responder, routes) = try Self.responder(module, limiter: limiter)
    }

    private static func configuration(
        _ configure: (inout IdentityConfiguration) -> Void
    ) throws -> IdentityConfiguration {
        guard let origin = ServiceOrigin("http://localhost:8080"), let domains = HandleDomains([".test"]) else {
            throw StorageError.unavailable(detail: "configuration")
        }
        var configuration = IdentityConfiguration(origin: origin, handleDomains: domains)
        configuration.invites = .waived
        configuration.approval = .waived
        configuration.passwordCost = .least
        configuration.operatorPassword = operatorPassword
        configuration.setting = .development
        configuration.signInFailureTimeMin = .zero
        configure(&configuration)
        return configuration
    }

    private static func responder(
        _ module: IdentityModule, limiter: RateLimiter?
    ) throws -> (XRPCResponder<Caller, AccessRule>, [RouteDescription<AccessRule>]) {
        let authenticator = module.foundation.authenticator
        var router = XRPCRouter<Caller, AccessRule>(anonymous: [.anyone]) { rule, head in
            try await authenticator.caller(for: rule, head)
        }
        module.addRoutes(to: &router)
        let catalog = LexiconCatalog(documents: try LexiconDocument.list(json: Array(EmbeddedLexicons.json.utf8)))
        var settings = ResponderSettings(logger: Logger(label: "test"))
        settings.rateLimiter = limiter
        return (try XRPCResponder(router, catalog: catalog, settings: settings), router.routes)
    }

    /// Closes the database; the directory stays for `Home(existing:)`.
    func close() async {
        log.close()
        await database.close()
    }

    /// Closes and removes everything.
    func discard() async {
        await close()
        try? FileManager.default.removeItem(atPath: directory)
    }

    // MARK: Short ways

    /// An account with a session, made through the service.
    @discardableResult
    func account(
        _ name: String, password: String = Home.password, maker: AccountService.Maker = .applicant
    ) async throws -> AccountService.Registered {
        var new = AccountService.NewAccount(handle: name, email: "\(name)@mail.test", password: password)
        new.maker = maker
        return try await accounts.register(new)
    }

    /// Has the operator lift all that holds of an account, and then put it into a state.
    func put(_ did: DID, into status: AccountStatus) async throws {
        for change in [AccountChange.approve, .restore, .enable, .unsuspend, .activate] {
            try await accounts.change(did, change, by: .operator)
        }
        let change: AccountChange? =
            switch status {
            case .suspended: .suspend
            case .takendown: .takedown
            case .disabled: .disable
            case .deactivated: .deactivate
            case .approved, .pending, .rejected, .confined: nil
            }
        if let change { try await accounts.change(did, change, by: .operator) }
    }

    /// Every event so far.
    func events() async throws -> [Storage.LogEvent] { try await log.read(after: 0, limitEvents: 10_000) }

    /// The audit's entries of one kind, the newest first.
    func audit(_ action: AuditEntry.Action) async throws -> [AuditEntry] {
        try await database.read { try AuditStore.entries(action: action, limit: 1000, in: $0) }
    }
}

/// An answer with its JSON.
struct Answer: Sendable {
    let status: Int
    let json: DataValue
    let response: HeldResponse

    var error: String? { json["error"]?.stringValue }
    var text: String { String(decoding: response.body, as: UTF8.self) }
}

extension Home {
    /// Calls a query through the router.
    func get(
        _ nsid: String, _ parameters: [(String, String)] = [], token: String? = nil, headers: [(String, String)] = []
    ) async throws -> Answer {
        let query = parameters.map { "\(Self.escaped($0.0))=\(Self.escaped($0.1))" }.joined(separator: "&")
        let path = nsid.hasPrefix("/") ? nsid : "/xrpc/" + nsid
        return try await send("GET", path + (query.isEmpty ? "" : "?" + query), token: token, headers: headers)
    }

    /// Calls a procedure through the router.
    func post(
        _ nsid: String, _ input: DataValue? = nil, token: String? = nil, headers: [(String, String)] = []
    ) async throws -> Answer {
        let path = nsid.hasPrefix("/") ? nsid : "/xrpc/" + nsid
        return try await send("POST", path, body: input?.json(), token: token, headers: headers)
    }

    private func send(
        _ method: String, _ target: String, body: [UInt8]? = nil, token: String?, headers: [(String, String)]
    ) async throws -> Answer {
        var fields = headers.map { (name: $0.0, value: $0.1) }
        if let token { fields.append(("authorization", "Bearer " + token)) }
        if body != nil { fields.append(("content-type", "application/json")) }
        if !fields.contains(where: { $0.name == "host" }) { fields.append(("host", "localhost:8080")) }
        let head = RequestHead(method: method, target: target, headers: fields)
        let response = try await responder.answer(head, body: body ?? [])
        let json = (try? DataValue(json: response.body)) ?? .null
        return Answer(status: response.status, json: json, response: response)
    }

    /// The header of the operator.
    static let basic = [("authorization", "Basic " + Base64.encode(Array("admin:\(operatorPassword)".utf8)))]

    private static func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
    }
}
