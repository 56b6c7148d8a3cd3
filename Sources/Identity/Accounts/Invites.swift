package import ATProtocol
package import Base
import Contracts
import Storage

/// Invite codes.
extension AccountService {
    /// What an invite is to be.
    package struct InviteRequest: Sendable, Hashable {
        /// 1…100,000.
        package var usesMax: Int
        package var expiresAt: Timestamp?
        /// The only address that may use it.
        package var boundTo: String?
        package var note: String?

        package init(usesMax: Int = 1, expiresAt: Timestamp? = nil, boundTo: String? = nil, note: String? = nil) {
            self.usesMax = usesMax
            self.expiresAt = expiresAt
            self.boundTo = boundTo
            self.note = note
        }
    }

    /// How often one code may be used at most, and how many are made at once.
    package static let inviteUsesMax = 100_000
    package static let inviteCodesMax = 100

    /// Makes an invite.
    ///
    /// - Parameter owner: whose it is; nil for the operator's.
    /// - Throws: `AccountError.invalidInput`, `.invalidEmail`; storage errors.
    package func createInvite(
        _ request: InviteRequest, by actor: AuditEntry.Actor, owner: DID?
    ) async throws -> Invite {
        try await createInvites([request], by: actor, owners: [owner])[0]
    }

    /// Makes invites, all or none; one for each of `owners`, as `requests` says.
    func createInvites(
        _ requests: [InviteRequest], by actor: AuditEntry.Actor, owners: [DID?]
    ) async throws -> [Invite] {
        let now = clock.now()
        var invites: [Invite] = []
        for (request, owner) in zip(requests, owners) {
            invites.append(try invite(request, owner: owner, now: now))
        }
        let made = invites
        try await database.write { write in
            for invite in made {
                try InviteStore.insert(invite, in: write)
                try AuditStore.append(
                    AuditEntry(
                        .inviteCreate, by: actor, target: String(invite.code.prefix(4)),
                        meta: ["maxUses": .integer(Int64(invite.usesMax))], time: now), in: write)
            }
        }
        return made
    }

    /// Makes `count` invites for each of `owners`, or for the operator when there are none.
    ///
    /// - Returns: the codes by owner; the operator is called `admin`.
    /// - Throws: `AccountError.invalidInput`; storage errors.
    package func createInvites(
        count: Int, usesMax: Int, owners: [DID], by actor: AuditEntry.Actor
    ) async throws -> [(account: String, codes: [String])] {
        let targets: [DID?] = owners.isEmpty ? [nil] : owners
        guard count >= 1, count <= Self.inviteCodesMax, targets.count <= Self.inviteCodesMax / count else {
            throw AccountError.invalidInput("codeCount: at most \(Self.inviteCodesMax) codes are made at once")
        }
        let all = targets.flatMap { Array(repeating: $0, count: count) }
        let request = InviteRequest(usesMax: usesMax)
        let invites = try await createInvites(all.map { _ in request }, by: actor, owners: all)
        return targets.enumerated().map { index, owner in
            (owner?.string ?? "admin", invites[(index * count)..<((index + 1) * count)].map(\.code))
        }
    }

    private func invite(_ request: InviteRequest, owner: DID?, now: Timestamp) throws(AccountError) -> Invite {
        guard (1...Self.inviteUsesMax).contains(request.usesMax) else {
            throw .invalidInput("maxUses must be 1 to \(Self.inviteUsesMax)")
        }
        if let expiresAt = request.expiresAt, expiresAt <= now {
            throw .invalidInput("expiresAt must be in the future")
        }
        var boundTo: String?
        if let text = request.boundTo {
            guard let email = EmailAddress(text) else { throw .invalidEmail }
            boundTo = email.string
        }
        return Invite(
            code: Base64URL.encode(randomness.bytes(12)), usesMax: request.usesMax, uses: 0, createdAt: now,
            createdBy: owner, expiresAt: request.expiresAt, boundTo: boundTo, note: request.note, disabledAt: nil)
    }

    /// A page of the invites, the newest first.
    package func invites(_ status: Invite.Status?, limit: Int, offset: Int) async throws -> Page<Invite> {
        let now = clock.now()
        let (invites, total) = try await database.read {
            try InviteStore.list(status, now: now, limit: limit, offset: offset, in: $0)
        }
        return Page(items: invites, total: total)
    }

    /// How many invites there are, and how many of them somebody could still use.
    package func inviteCounts() async throws -> (total: Int, active: Int) {
        let now = clock.now()
        return try await database.read {
            (
                try InviteStore.list(nil, now: now, limit: 0, offset: 0, in: $0).total,
                try InviteStore.list(.active, now: now, limit: 0, offset: 0, in: $0).total
            )
        }
    }

    /// Makes sure that a code admits an account with this address.
    ///
    /// - Throws: `AccountError.invite`; storage errors.
    func checkInvite(_ code: String, for email: EmailAddress?, now: Timestamp, in scope: any ReadScope) throws {
        guard code.utf8.count <= 128, !code.contains("\0"), let invite = try InviteStore.invite(code, in: scope) else {
            throw AccountError.invite(.unknown)
        }
        switch invite.status(now: now) {
        case .active: break
        case .disabled: throw AccountError.invite(.unknown)
        case .expired: throw AccountError.invite(.expired)
        case .exhausted: throw AccountError.invite(.usedUp)
        }
        guard invite.boundTo == nil || invite.boundTo == email?.string else { throw AccountError.invite(.bound) }
        // The codes of somebody who was put away work no longer.
        if let owner = invite.createdBy, let status = try AccountStore.account(owner, in: scope)?.status {
            guard status == .approved || status == .deactivated else { throw AccountError.invite(.unknown) }
        }
    }
}
