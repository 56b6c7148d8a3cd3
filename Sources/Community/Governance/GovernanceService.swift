package import ATProtocol
package import Base
package import Contracts
package import Storage

/// How communities decide: proposals, votes, delegations, and what comes of them.
///
/// Every call is one transaction, so that votes are exact however many come at once, and a proposal that passes is carried
/// out in the transaction that closes it.
package struct GovernanceService: Sendable {
    let database: any Database
    let door: any RepositoryDoor
    let accounts: any Accounts
    let communities: any CommunityAccounts
    let policies: CommunityPolicies
    let catalog: LexiconCatalog
    let audit: any AuditTrail
    let clock: any WallClock
    private let jobs: JobStore
    private let signal: WakeSignal

    /// Closes a proposal when its time is up; the key is `<community>/<rkey>`.
    static let closing = JobKind(rawValue: "governance.close")

    /// When a proposal is looked at again that can't be closed now: its community is suspended, or something failed.
    private static let patience = Duration.seconds(900)

    /// - Parameter signal: woken when there is something to close later.
    package init(
        database: any Database, door: any RepositoryDoor, accounts: any Accounts, communities: any CommunityAccounts,
        policies: CommunityPolicies, catalog: LexiconCatalog, audit: any AuditTrail, clock: any WallClock,
        randomness: any Randomness,
        signal: WakeSignal
    ) {
        self.database = database
        self.door = door
        self.accounts = accounts
        self.communities = communities
        self.policies = policies
        self.catalog = catalog
        self.audit = audit
        self.clock = clock
        self.signal = signal
        jobs = JobStore(dialect: database.dialect, randomness: randomness)
    }

    /// Runs `body` in one transaction; once more when a decision could not be carried out, to keep what led to it.
    ///
    /// - Parameter caller: nil for the server itself.
    func assemble<T: Sendable>(
        _ did: DID, for caller: Caller?, _ body: @escaping @Sendable (Assembly) throws -> T
    ) async throws -> T {
        guard try await accounts.standing(of: did)?.kind == .community else { throw CommunityError.notFound }
        var execution = Assembly.Execution.carriedOut(isOpeningPrepared: false)
        while true {
            let attempt = execution
            do {
                return try await door.transact(on: [did]) { transaction in
                    try body(try Assembly(transaction, did, for: caller, service: self, execution: attempt))
                }
            } catch Assembly.Setback.needsOpening {
                do {
                    try await communities.prepareOpening(of: did)
                    execution = .carriedOut(isOpeningPrepared: true)
                } catch {
                    execution = .heldBack("the directory could not be told of the community")
                }
            } catch Assembly.Setback.failed(let why) {
                execution = .heldBack(why)
            }
        }
    }

    /// Has the proposal looked at when its voting is over, by whoever runs the jobs.
    func schedule(_ proposal: Proposal, at rkey: RecordKey, in assembly: Assembly) throws {
        try jobs.enqueue(
            Self.closing, key: "\(assembly.did.string)/\(rkey.string)", runAt: proposal.expiresAt, now: assembly.now,
            existing: .replace, in: assembly.scope)
        assembly.scope.afterCommit { [signal] in signal.wake() }
    }

    /// Closes a proposal whose time is up.
    ///
    /// - Returns: when to look again; nil when it is closed, or gone with its community.
    package func conclude(_ rkey: RecordKey, in community: DID) async throws -> Timestamp? {
        do {
            return try await assemble(community, for: nil) { assembly in
                guard let row = try GovernanceStore.proposal(rkey, of: community, in: assembly.scope) else {
                    return nil
                }
                guard assembly.isActive else { return assembly.now.advanced(by: Self.patience) }
                let proposal = try assembly.settle(row)
                guard proposal.status == .open else { return nil }
                return assembly.now < proposal.expiresAt ? proposal.expiresAt : proposal.endsAt
            }
        } catch CommunityError.notFound {
            return nil
        }
    }

    /// What a job of the kind `closing` comes to.
    func perform(_ job: Job) async throws -> JobOutcome {
        let parts = job.key.split(separator: "/", maxSplits: 1)
        guard parts.count == 2, let did = try? DID(parsing: String(parts[0])),
            let rkey = try? RecordKey(parsing: String(parts[1]))
        else { return .giveUp(reason: "not the name of a proposal") }
        do {
            guard let next = try await conclude(rkey, in: did) else { return .done }
            return .retryAt(max(next, clock.now().advanced(by: .seconds(1))), reason: "its time is not up")
        } catch let error as CancellationError {
            throw error
        } catch {
            // It must not stay open because something failed for long.
            return .retryAt(clock.now().advanced(by: Self.patience), reason: String(describing: error))
        }
    }

    // MARK: The model

    /// Changes how a community decides. Where votes decide already, it takes a proposal on the settings.
    ///
    /// - Throws: `GovernanceError.notSupported`, `.invalid`; `CommunityError.needsProposal` and what its guard says.
    package func setModel(
        _ model: GovernanceModelName, config: DataMap, of community: DID, by caller: Caller
    ) async throws {
        try await assemble(community, for: caller) { assembly in
            _ = try assembly.holder(caller, of: .settingsWrite)
            guard model != .onChain else { throw GovernanceError.notSupported }
            let path = RepositoryPath(CommunityCollections.settings, CommunityCollections.selfKey)
            guard let record = try assembly.transaction.record(path, of: community)?.value,
                var settings = CommunitySettings(record)
            else { throw CommunityError.notFound }
            if model.model != nil {
                let rules = try GovernanceConfig(config, model: model)
                guard try Self.isHeld(rules.voterRole, in: assembly) else {
                    throw GovernanceError.invalid("voterRole: nobody holds a role named \(rules.voterRole)")
                }
            }
            settings.model = model.rawValue
            settings.config = config
            try assembly.apply(
                [
                    RecordWrite(
                        collection: path.collection, action: .put(key: path.key, record: settings.record))
                ], by: .deed(caller))
            try assembly.note("governance.setModel", ["model": .string(model.rawValue)])
        }
    }

    private static func isHeld(_ voterRole: String, in assembly: Assembly) throws -> Bool {
        try voterRole == GovernanceConfig.everyMember
            || !CommunityStore.members(withRoleNamed: voterRole, of: assembly.did, in: assembly.scope).isEmpty
    }
}
