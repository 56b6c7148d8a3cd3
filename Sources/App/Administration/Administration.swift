package import ATProtocol
package import Base

/// What a command prints.
package struct CommandOutput: Sendable {
    /// For programs: one JSON value.
    package let json: String
    /// For people.
    package let text: String
    let value: DataValue

    package init(_ value: DataValue, text: String) {
        self.value = value
        json = String(decoding: value.json(), as: UTF8.self)
        self.text = text
    }
}

/// The operator's commands over accounts and invites.
package struct Administration: Sendable {
    let client: AdministrationClient

    package init(_ client: AdministrationClient) {
        self.client = client
    }

    /// Accounts asked for at once.
    private static let pageCount = 100

    // MARK: Accounts

    /// Makes an account; without a password one is made up and told.
    package func createAccount(
        handle: String, email: String?, password: String?, roles: [String],
        randomness: any Randomness = SystemRandomness()
    ) async throws -> CommandOutput {
        let chosen = password ?? MadeUpPassword.make(randomness)
        var input: DataMap = ["handle": .string(handle), "password": .string(chosen)]
        input["email"] = email.map { .string($0) }
        if !roles.isEmpty { input["roles"] = .array(roles.map { .string($0) }) }
        let account = try await client.call("social.kith.admin.createAccount", input)
        guard password == nil else { return CommandOutput(account, text: Self.lines(account)) }
        var told = account.mapValue ?? DataMap()
        told["password"] = .string(chosen)
        return CommandOutput(
            .map(told), text: Self.lines(account, password: chosen) + "\n\nThe password is shown this once.")
    }

    /// One account.
    package func showAccount(_ name: String) async throws -> CommandOutput {
        let account = try await self.account(name)
        return CommandOutput(account, text: Self.lines(account))
    }

    /// All accounts, or those in a state or with a role, the newest first.
    package func listAccounts(status: String?, role: String?, search: String?) async throws -> CommandOutput {
        var filter: [(String, String)] = []
        if let status { filter.append(("status", status)) }
        if let role { filter.append(("role", role)) }
        if let search { filter.append(("q", search)) }
        let users = try await all("net.openfederation.account.list", filter, items: "users")
        let table = TextTable(
            ["HANDLE", "STATUS", "ROLES", "CREATED", "DID"],
            users.map { user in
                [
                    Self.text(user, "handle"), Self.text(user, "status"), Self.roles(user),
                    String(Self.text(user, "createdAt").prefix(10)), Self.text(user, "did"),
                ]
            })
        return CommandOutput(.array(users), text: users.isEmpty ? "no accounts" : table.text)
    }

    /// Changes state, roles or password of an account.
    package func updateAccount(
        _ name: String, change: String? = nil, roles: [String]? = nil, password: String? = nil
    ) async throws -> CommandOutput {
        var input: DataMap = ["account": .string(name)]
        input["change"] = change.map { .string($0) }
        input["roles"] = roles.map { .array($0.map { .string($0) }) }
        input["password"] = password.map { .string($0) }
        let account = try await client.call("social.kith.admin.updateAccount", input)
        return CommandOutput(account, text: Self.lines(account))
    }

    /// Adds and takes roles.
    package func changeRoles(_ name: String, add: [String], remove: [String]) async throws -> CommandOutput {
        let account = try await self.account(name)
        let held = Set((account["roles"]?.arrayValue ?? []).compactMap(\.stringValue))
        return try await updateAccount(name, roles: held.union(add).subtracting(remove).sorted())
    }

    /// Deletes an account for good.
    package func deleteAccount(_ name: String) async throws -> CommandOutput {
        let account = try await self.account(name)
        _ = try await client.call("com.atproto.admin.deleteAccount", ["did": account["did"] ?? .null])
        return CommandOutput(account, text: "deleted \(Self.text(account, "handle"))")
    }

    /// The account that a handle, a bare name, a DID or an address names.
    func account(_ name: String) async throws -> DataValue {
        try await client.query("social.kith.admin.getAccount", [("account", name)])
    }

    // MARK: Invites

    /// Makes an invite code.
    package func createInvite(
        uses: Int, expires: String?, boundTo: String?, note: String?
    ) async throws -> CommandOutput {
        var input: DataMap = ["maxUses": .integer(Int64(uses))]
        input["expiresAt"] = expires.map { .string($0) }
        input["boundTo"] = boundTo.map { .string($0) }
        input["note"] = note.map { .string($0) }
        let invite = try await client.call("net.openfederation.invite.create", input)
        return CommandOutput(invite, text: Self.text(invite, "code"))
    }

    /// All invite codes, or those in a state, the newest first.
    package func listInvites(status: String?) async throws -> CommandOutput {
        let filter = status.map { [("status", $0)] } ?? []
        let invites = try await all("net.openfederation.invite.list", filter, items: "invites")
        let table = TextTable(
            ["CODE", "USES", "STATUS", "EXPIRES", "BOUND TO", "NOTE"],
            invites.map { invite in
                let uses = "\(invite["usesCount"]?.integerValue ?? 0)/\(invite["maxUses"]?.integerValue ?? 0)"
                return [
                    Self.text(invite, "code"), uses, Self.text(invite, "status"),
                    String(Self.text(invite, "expiresAt").prefix(10)), Self.text(invite, "boundTo"),
                    Self.text(invite, "note"),
                ]
            })
        return CommandOutput(.array(invites), text: invites.isEmpty ? "no invites" : table.text)
    }

    // MARK: Reading answers

    private func all(_ nsid: String, _ filter: [(String, String)], items: String) async throws -> [DataValue] {
        var found: [DataValue] = []
        while true {
            let page = try await client.query(
                nsid, filter + [("limit", "\(Self.pageCount)"), ("offset", "\(found.count)")])
            let more = page[items]?.arrayValue ?? []
            found += more
            if more.count < Self.pageCount { return found }
        }
    }

    static func text(_ value: DataValue, _ key: String) -> String { value[key]?.stringValue ?? "" }

    private static func roles(_ account: DataValue) -> String {
        (account["roles"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: " ")
    }

    private static func lines(_ account: DataValue, password: String? = nil) -> String {
        var rows = [
            ["handle", text(account, "handle")], ["did", text(account, "did")], ["status", text(account, "status")],
            ["roles", roles(account)],
        ]
        if account["email"] != nil { rows.append(["e-mail", text(account, "email")]) }
        if let password { rows.append(["password", password]) }
        return TextTable(nil, rows).text
    }
}

/// Passwords for people who are to change them.
enum MadeUpPassword {
    private static let alphabet = Array("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789")
    private static let groupCount = 4
    private static let groupLength = 5

    /// 20 characters in four groups, about 115 bits, with small and capital letters and digits.
    static func make(_ randomness: any Randomness) -> String {
        while true {
            let groups = (0..<groupCount).map { _ in
                String((0..<groupLength).map { _ in alphabet[Int(randomness.uint64() % UInt64(alphabet.count))] })
            }
            let password = groups.joined(separator: "-")
            let kinds: [(Character) -> Bool] = [\.isLowercase, \.isUppercase, \.isNumber]
            if kinds.allSatisfy({ password.contains(where: $0) }) { return password }
        }
    }
}
