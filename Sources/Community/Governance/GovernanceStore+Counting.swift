package import ATProtocol
import Base
package import Storage

/// Delegations, electorates, and what a count is made on.
extension GovernanceStore {
    /// What is kept of a proposal that its records don't say.
    struct Poll: Sendable, Hashable {
        /// As many as can be carried by votes, or more: known to be exact after a whole count.
        var carriedMax: Int
        /// Whether delegations have changed since.
        var isStale: Bool
        /// On what the last count was made; nil while it can still be made anew.
        var countedOn: CountingBasis?
        var appliedCID: CID?
        var appliedRev: String?
    }

    // MARK: Delegations

    static func store(
        _ delegation: DelegationRecord?, at rkey: RecordKey, of community: DID, in scope: any WriteScope
    ) throws {
        try scope.execute(
            "DELETE FROM community_delegation WHERE community = $1 AND rkey = $2",
            [.text(community.string), .text(rkey.string)])
        guard let delegation else { return }
        try scope.execute(
            """
            INSERT INTO community_delegation (community, rkey, delegator, delegate, created_at)
            VALUES ($1, $2, $3, $4, $5)
            """,
            [
                .text(community.string), .text(rkey.string), .text(delegation.delegator.string),
                .text(delegation.delegate.string), .integer(delegation.createdAt.microseconds),
            ])
    }

    /// Whom `delegator` chose, with the keys of the records that say so, the one that counts last. There is one, unless a
    /// repository came from elsewhere.
    static func delegations(
        from delegator: DID, of community: DID, in scope: any ReadScope
    ) throws -> [(rkey: RecordKey, delegate: DID)] {
        try scope.query(
            "SELECT rkey, delegate FROM community_delegation WHERE community = $1 AND delegator = $2 ORDER BY rkey",
            [.text(community.string), .text(delegator.string)]
        ).map { (try RecordKey(parsing: $0.text(0)), try DID(parsing: $0.text(1))) }
    }

    /// Who chose `delegate`, in the order of their DIDs, and how many they are in all.
    static func delegators(
        to delegate: DID, of community: DID, limit: Int, in scope: any ReadScope
    ) throws -> (first: [DID], count: Int) {
        let parameters: [SQLValue] = [.text(community.string), .text(delegate.string)]
        let first = try scope.query(
            """
            SELECT DISTINCT delegator FROM community_delegation WHERE community = $1 AND delegate = $2
            ORDER BY delegator LIMIT $3
            """, parameters + [.integer(limit)]
        ).map { try DID(parsing: $0.text(0)) }
        guard first.count == limit else { return (first, first.count) }
        let count = try scope.first(
            "SELECT count(DISTINCT delegator) FROM community_delegation WHERE community = $1 AND delegate = $2",
            parameters)
        return (first, Int(try count?.integer(0) ?? 0))
    }

    /// How many may be carried by `voter`, directly or through others: no more than these. Stops counting at `enough`.
    static func carriedMax(
        by voter: DID, enough: Int, of community: DID, in scope: any ReadScope
    ) throws -> Int {
        var seen: Set<String> = [voter.string]
        var waiting = [voter.string]
        while let next = waiting.popLast(), seen.count <= enough {
            for row in try scope.query(
                "SELECT delegator FROM community_delegation WHERE community = $1 AND delegate = $2 LIMIT $3",
                [.text(community.string), .text(next), .integer(enough + 1)])
            {
                let delegator = try row.text(0)
                if seen.insert(delegator).inserted { waiting.append(delegator) }
            }
        }
        return seen.count - 1
    }

    /// Every delegation of the community.
    static func delegations(of community: DID, in scope: any ReadScope) throws -> [DID: DID] {
        var delegations: [DID: DID] = [:]
        try scope.forEach(
            "SELECT delegator, delegate FROM community_delegation WHERE community = $1 ORDER BY rkey",
            [.text(community.string)]
        ) { row in
            delegations[try DID(parsing: row.text(0))] = try DID(parsing: row.text(1))
            return true
        }
        return delegations
    }

    // MARK: Electorates

    /// Keeps who may vote; a few hundred rows a statement.
    static func storeElectorate(
        _ voters: [String], proposal: RecordKey, of community: DID, in scope: any WriteScope
    ) throws {
        let chunk = 200
        for start in stride(from: 0, to: voters.count, by: chunk) {
            let some = voters[start..<min(start + chunk, voters.count)]
            let rows = some.indices.map { "($1, $2, $\($0 - start + 3))" }.joined(separator: ", ")
            try scope.execute(
                "INSERT INTO community_electorate (community, proposal, did) VALUES \(rows)",
                [.text(community.string), .text(proposal.string)] + some.map(SQLValue.text))
        }
    }

    static func isInElectorate(
        _ did: DID, proposal: RecordKey, of community: DID, in scope: any ReadScope
    ) throws -> Bool {
        try scope.first(
            "SELECT 1 FROM community_electorate WHERE community = $1 AND proposal = $2 AND did = $3",
            [.text(community.string), .text(proposal.string), .text(did.string)]) != nil
    }

    /// Who could vote, in the order of their DIDs: those after `cursor`.
    static func electorate(
        proposal: RecordKey, of community: DID, after cursor: String = "", limit: Int = .max, in scope: any ReadScope
    ) throws -> [DID] {
        try scope.query(
            """
            SELECT did FROM community_electorate WHERE community = $1 AND proposal = $2 AND did > $3
            ORDER BY did LIMIT $4
            """, [.text(community.string), .text(proposal.string), .text(cursor), .integer(limit)]
        ).map { try DID(parsing: $0.text(0)) }
    }

    // MARK: Polls

    static func poll(_ proposal: RecordKey, of community: DID, in scope: any ReadScope) throws -> Poll? {
        let row = try scope.first(
            """
            SELECT carried_max, is_stale, counted_on, applied_cid, applied_rev FROM community_poll
            WHERE community = $1 AND proposal = $2
            """, [.text(community.string), .text(proposal.string)])
        return try row.map { row in
            Poll(
                carriedMax: Int(try row.integer(0)), isStale: try row.boolean(1),
                countedOn: try row.optionalBlob(2).flatMap {
                    CountingBasis(try DataValue(cbor: $0, limits: CountingBasis.limits))
                },
                appliedCID: try row.optionalBlob(3).map { try CID(bytes: $0) }, appliedRev: try row.optionalText(4))
        }
    }

    static func store(_ poll: Poll, proposal: RecordKey, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            """
            INSERT INTO community_poll (community, proposal, carried_max, is_stale, counted_on, applied_cid, applied_rev)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (community, proposal) DO UPDATE SET
                carried_max = excluded.carried_max, is_stale = excluded.is_stale, counted_on = excluded.counted_on,
                applied_cid = excluded.applied_cid, applied_rev = excluded.applied_rev
            """,
            [
                .text(community.string), .text(proposal.string), .integer(poll.carriedMax), .boolean(poll.isStale),
                .blob(optional: poll.countedOn?.value.cbor()), .blob(optional: poll.appliedCID?.bytes),
                .text(optional: poll.appliedRev),
            ])
    }

    /// Has the next vote on every open proposal count everybody: delegations changed.
    static func markStale(_ community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            """
            UPDATE community_poll SET is_stale = 1 WHERE community = $1 AND is_stale = 0 AND proposal IN (
                SELECT rkey FROM community_proposal WHERE community = $1 AND status = 'open')
            """, [.text(community.string)])
    }

    /// Forgets what is kept of a community that is gone and that no record says.
    package static func remove(_ community: DID, in scope: any WriteScope) throws {
        for table in ["community_poll", "community_electorate"] {
            try scope.execute("DELETE FROM \(table) WHERE community = $1", [.text(community.string)])
        }
    }
}

/// On what a proposal was counted when it closed, so that its arithmetic can be told ever after.
struct CountingBasis: Sendable, Hashable {
    /// Room for a name or two of each of some 400,000 voters.
    static let limits = DataLimits(sizeBytesMax: 64 << 20, valueCountMax: 1_500_000)

    /// Those of the electorate who could vote no more.
    var ineligible: Set<DID>
    /// The delegations of those in the electorate.
    var delegations: [DID: DID]

    init(ineligible: Set<DID>, delegations: [DID: DID]) {
        self.ineligible = ineligible
        self.delegations = delegations
    }

    init?(_ value: DataValue) {
        let left = value["ineligible"]?.arrayValue ?? []
        ineligible = Set(left.compactMap { $0.stringValue.flatMap { try? DID(parsing: $0) } })
        delegations = [:]
        for pair in value["delegations"]?.arrayValue ?? [] {
            let dids = (pair.arrayValue ?? []).compactMap { $0.stringValue.flatMap { try? DID(parsing: $0) } }
            guard dids.count == 2 else { return nil }
            delegations[dids[0]] = dids[1]
        }
    }

    var value: DataValue {
        [
            "ineligible": .array(ineligible.map(\.string).sorted().map(DataValue.string)),
            "delegations": .array(
                delegations.map { [$0.key.string, $0.value.string] }.sorted { $0[0] < $1[0] }
                    .map { .array($0.map(DataValue.string)) }),
        ]
    }
}
