package import ATProtocol
package import Base
package import Contracts
package import Storage

/// What communities state of their members: issuing, taking back, listing, and proofs for whoever doubts.
package struct AttestationService: Sendable {
    /// What the room is built on.
    package struct Foundation: Sendable {
        package var database: any Database
        package var door: any RepositoryDoor
        package var proofs: any RecordProofs
        package var accounts: any Accounts
        package var keys: any SigningKeys
        package var identities: any IdentityEvidence
        package var policies: CommunityPolicies
        package var vault: KeyVault
        package var remote: RemoteAttestations
        package var audit: any AuditTrail
        package var clock: any WallClock
        package var randomness: any Randomness

        package init(
            database: any Database, door: any RepositoryDoor, proofs: any RecordProofs, accounts: any Accounts,
            keys: any SigningKeys, identities: any IdentityEvidence, policies: CommunityPolicies, vault: KeyVault,
            remote: RemoteAttestations, audit: any AuditTrail, clock: any WallClock, randomness: any Randomness
        ) {
            self.database = database
            self.door = door
            self.proofs = proofs
            self.accounts = accounts
            self.keys = keys
            self.identities = identities
            self.policies = policies
            self.vault = vault
            self.remote = remote
            self.audit = audit
            self.clock = clock
            self.randomness = randomness
        }
    }

    /// What is asked to be stated.
    package struct Statement: Sendable, Hashable {
        package var subject: DID
        package var subjectHandle: String
        package var kind: AttestationRecord.Kind
        package var claim: AttestationClaim
        package var expiresAt: Datetime?
        /// Whether the claim is hidden.
        package var isPrivate: Bool

        package init(
            subject: DID, subjectHandle: String, kind: AttestationRecord.Kind, claim: AttestationClaim,
            expiresAt: Datetime? = nil, isPrivate: Bool = false
        ) {
            self.subject = subject
            self.subjectHandle = subjectHandle
            self.kind = kind
            self.claim = claim
            self.expiresAt = expiresAt
            self.isPrivate = isPrivate
        }
    }

    /// An attestation that was issued.
    package struct Issued: Sendable, Hashable {
        package var path: RepositoryPath
        package var cid: CID
        /// What hides a private claim.
        package var commitment: ClaimCommitment?
    }

    let base: Foundation
    private let salts: AttestationSalts

    package init(_ foundation: Foundation) {
        base = foundation
        salts = AttestationSalts(vault: foundation.vault)
    }

    // MARK: Changing

    /// Has the community state something of a member.
    ///
    /// - Throws: `CommunityError`; `AttestationError`.
    package func issue(_ statement: Statement, in community: DID, by caller: Caller) async throws -> Issued {
        try await admitDeed(caller, to: community)
        if let end = statement.expiresAt, end.timestamp <= base.clock.now() {
            throw AttestationError.invalidRequest("expiresAt lies in the past")
        }
        let hidden =
            statement.isPrivate
            ? try ClaimCommitment.hiding(statement.claim, randomness: base.randomness) : nil
        let (salts, audit) = (salts, base.audit)
        return try await base.door.transact(on: [community]) { transaction in
            guard try CommunityStore.member(statement.subject, of: community, in: transaction.scope) != nil else {
                throw CommunityError.noSuchMember
            }
            let record = AttestationRecord(
                subject: statement.subject, subjectHandle: statement.subjectHandle, type: statement.kind.rawValue,
                content: hidden.map { .hidden($0.commitment) } ?? .open(statement.claim.fields),
                issuedAt: Datetime(transaction.now), expiresAt: statement.expiresAt)
            let key = transaction.newKey()
            let outcome = try transaction.apply(
                [
                    RecordWrite(
                        collection: AttestationRecord.collection, action: .create(key: key, record: record.value))
                ],
                to: community, by: .act(CommunityAct.deed(caller)))
            if let hidden {
                let sealed = try salts.seal(hidden.fields, of: key, in: community)
                try AttestationStore.keepSalts(sealed, of: key, in: community, transaction.scope)
            }
            guard let result = outcome.results.first, let cid = result.cid else {
                throw AttestationError.notFound
            }
            try audit.record(
                "community.attestation.issue", by: caller, target: community.string,
                meta: [
                    "rkey": .string(key.string), "subject": .string(statement.subject.string),
                    "type": .string(statement.kind.rawValue), "private": .boolean(hidden != nil),
                ], in: transaction.scope)
            return Issued(path: result.path, cid: cid, commitment: hidden?.commitment)
        }
    }

    /// Takes an attestation back by deleting its record.
    ///
    /// - Parameter reason: for the audit.
    /// - Throws: `CommunityError`; `AttestationError.notFound`.
    package func delete(
        _ key: RecordKey, in community: DID, reason: String? = nil, by caller: Caller
    ) async throws {
        try await admitDeed(caller, to: community)
        let audit = base.audit
        try await base.door.transact(on: [community]) { transaction in
            let path = RepositoryPath(AttestationRecord.collection, key)
            guard try transaction.record(path, of: community) != nil else { throw AttestationError.notFound }
            try transaction.apply(
                [RecordWrite(collection: path.collection, action: .delete(key: key, mustExist: true))], to: community,
                by: .act(CommunityAct.deed(caller)))
            var meta: DataMap = ["rkey": .string(key.string)]
            meta["reason"] = reason.map { .string($0) }
            try audit.record(
                "community.attestation.delete", by: caller, target: community.string, meta: meta, in: transaction.scope)
        }
    }

    // MARK: Reading

    /// A page of what a community states, the newest first.
    ///
    /// - Parameter before: the key after which the page begins.
    /// - Throws: `CommunityError`.
    package func list(
        _ community: DID, _ filter: AttestationStore.Filter, before: RecordKey?, limit: Int, for caller: Caller
    ) async throws -> [StoredAttestation] {
        try await admit(caller, to: community)
        return try await base.database.read { scope in
            try AttestationStore.attestations(of: community, filter, before: before, limit: limit, in: scope)
        }
    }

    /// The file with which the subject shows an attestation, and those fields of a hidden claim that are named.
    ///
    /// - Throws: `CommunityError`; `AttestationError`.
    package func present(
        _ key: RecordKey, in community: DID, disclosing names: [String], for caller: Caller
    ) async throws -> AttestationPresentation {
        let (stored, sealed) = try await base.database.read { scope in
            (
                try AttestationStore.attestation(key, of: community, in: scope),
                try AttestationStore.salts(of: key, in: community, scope)
            )
        }
        // The subject may show what is stated of them though they have left a private community.
        let isSubject = stored.map { $0.record.subject == caller.did } ?? false
        if !isSubject { try await admit(caller, to: community) }
        guard let stored else { throw AttestationError.notFound }
        guard isSubject else { throw CommunityError.forbidden }
        let operations = try? await base.identities.operations(of: community)
        let evidence = try await proof(of: key, in: community, with: operations)
        guard let record = evidence.checked.record, record.cid == stored.cid,
            let shown = AttestationRecord(record.value)
        else { throw AttestationError.notFound }
        var disclosed: [OpenedField] = []
        if case .hidden(let commitment) = shown.content, !names.isEmpty {
            disclosed = try salts.open(sealed, names, of: key, in: community, under: commitment)
        }
        return AttestationPresentation(
            view: shown.view(in: community, key: key, cid: record.cid), proof: evidence.proof, disclosed: disclosed)
    }

    /// What proves the present state of an attestation of a community that lives here.
    ///
    /// - Parameter operations: those of its identity, for who is to check it offline.
    func proof(
        of key: RecordKey, in community: DID, with operations: DataValue? = nil
    ) async throws -> (proof: AttestationProof, checked: RecordProof) {
        let path = RepositoryPath(AttestationRecord.collection, key)
        guard let archive = try await base.proofs.proof(of: path, in: community) else { throw CommunityError.notFound }
        let signingKey = try await base.keys.signer(for: community).publicKey
        let checked = try RecordProof(archive: archive, of: path, in: community, signedBy: signingKey)
        // The domain of a did:web may be out of reach; the proof does without.
        let document = try? await base.identities.document(of: community)
        let proof = AttestationProof(
            checked, archive: archive, signingKey: signingKey,
            document: document?.signingKey == signingKey ? document?.value : nil, operations: operations,
            checkedAt: Datetime(base.clock.now()))
        return (proof, checked)
    }

    // MARK: Who may know

    /// As `admit`, and refuses changes of a community that is suspended.
    private func admitDeed(_ caller: Caller, to community: DID) async throws {
        let status = try await admit(caller, to: community).status
        guard status == .approved || status == .confined else { throw CommunityError.suspended }
    }

    /// Refuses what is no community here, or none that `caller` may know of, or was taken down.
    @discardableResult
    func admit(_ caller: Caller, to community: DID) async throws -> AccountStanding {
        guard let standing = try await base.accounts.standing(of: community), standing.kind == .community else {
            throw CommunityError.notFound
        }
        if standing.isConfined, !caller.isAdministrator {
            guard let did = caller.did, try await base.policies.permissions(of: did, in: community) != nil else {
                throw CommunityError.notFound
            }
        }
        guard standing.status != .takendown else { throw CommunityError.takenDown }
        return standing
    }
}
