import ATProtocol

/// The operator's commands over sessions, the audit and the keys of partners.
extension Administration {
    // MARK: Sessions

    /// The sessions of an account, the one used last first.
    package func listSessions(_ name: String) async throws -> CommandOutput {
        let did = Self.text(try await account(name), "did")
        let answer = try await client.query("net.openfederation.account.listSessions", [("did", did)])
        let sessions = answer["sessions"]?.arrayValue ?? []
        let table = TextTable(
            ["SESSION", "LAST USED", "FROM", "PROGRAM"],
            sessions.map { session in
                [
                    Self.text(session, "id"), Self.moment(session, "lastUsedAt"), Self.text(session, "address"),
                    Self.text(session, "appPassword").isEmpty
                        ? Self.text(session, "client") : "app password “\(Self.text(session, "appPassword"))”",
                ]
            })
        return CommandOutput(.array(sessions), text: sessions.isEmpty ? "no sessions" : table.text)
    }

    /// Ends one session of an account, or all.
    package func revokeSessions(_ name: String, session: String?) async throws -> CommandOutput {
        let did = Self.text(try await account(name), "did")
        var input: DataMap = ["did": .string(did)]
        if let session { input["sessionId"] = .string(session) } else { input["revokeAll"] = true }
        let answer = try await client.call("net.openfederation.account.revokeSession", input)
        return CommandOutput(answer, text: "\(answer["revokedCount"]?.integerValue ?? 0) sessions ended")
    }

    // MARK: Audit

    /// Which entries of the audit are shown.
    package struct AuditQuery: Sendable {
        package var action: String?
        /// A DID, `operator` or `server`.
        package var actor: String?
        package var target: String?
        package var since: String?
        package var until: String?
        /// 1…100.
        package var limit: Int

        package init(
            action: String? = nil, actor: String? = nil, target: String? = nil, since: String? = nil,
            until: String? = nil, limit: Int = 50
        ) {
            self.action = action
            self.actor = actor
            self.target = target
            self.since = since
            self.until = until
            self.limit = limit
        }

        fileprivate var parameters: [(String, String)] {
            let given = [
                ("action", action), ("actorId", actor), ("targetId", target), ("since", since), ("until", until),
            ]
            return [("limit", String(limit))] + given.compactMap { name, value in value.map { (name, $0) } }
        }
    }

    /// The newest entries of the audit.
    package func listAudit(_ query: AuditQuery) async throws -> CommandOutput {
        let answer = try await client.query("net.openfederation.audit.list", query.parameters)
        let entries = answer["entries"]?.arrayValue ?? []
        let table = TextTable(
            ["WHEN", "ACTION", "BY", "ON"],
            entries.map { entry in
                let handle = Self.text(entry, "actorHandle")
                return [
                    Self.moment(entry, "createdAt"), Self.text(entry, "action"),
                    handle.isEmpty ? Self.text(entry, "actorId") : handle, Self.text(entry, "targetId"),
                ]
            })
        let total = answer["total"]?.integerValue ?? 0
        let rest = total > Int64(entries.count) ? "\n\n\(entries.count) of \(total) entries" : ""
        return CommandOutput(answer, text: entries.isEmpty ? "no entries" : table.text + rest)
    }

    // MARK: Partners

    /// Makes a key for a partner; it is shown once.
    package func createPartnerKey(
        name: String, partner: String, origins: [String], hourlyMax: Int
    ) async throws -> CommandOutput {
        let key = try await client.call(
            "net.openfederation.partner.createKey",
            [
                "name": .string(name), "partnerName": .string(partner),
                "allowedOrigins": .array(origins.map { .string($0) }), "rateLimitPerHour": .integer(Int64(hourlyMax)),
            ])
        let proof = key["verification"] ?? .null
        let rows = [
            ["id", Self.text(key, "id")], ["key", Self.text(key, "key")],
            ["proof", "\(Self.text(proof, "wellKnownBody")) at \(Self.text(proof, "wellKnownPath"))"],
        ]
        return CommandOutput(
            key, text: TextTable(nil, rows).text + "\n\nThe key is shown this once. The proof is optional.")
    }

    /// All keys of partners, the newest first.
    package func listPartnerKeys() async throws -> CommandOutput {
        var keys: [DataValue] = []
        var cursor: String?
        repeat {
            let page = try await client.query(
                "net.openfederation.partner.listKeys", cursor.map { [("cursor", $0)] } ?? [])
            keys += page["keys"]?.arrayValue ?? []
            cursor = page["cursor"]?.stringValue
        } while cursor != nil
        let table = TextTable(
            ["ID", "PARTNER", "NAME", "KEY", "STATUS", "PROVEN", "ACCOUNTS", "ORIGINS"],
            keys.map { key in
                [
                    Self.text(key, "id"), Self.text(key, "partnerName"), Self.text(key, "name"),
                    Self.text(key, "keyPrefix") + "…", Self.text(key, "status"),
                    Self.text(key, "verificationState") == "verified" ? "yes" : "no",
                    "\(key["totalRegistrations"]?.integerValue ?? 0)",
                    (key["allowedOrigins"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: " "),
                ]
            })
        return CommandOutput(.array(keys), text: keys.isEmpty ? "no partner keys" : table.text)
    }

    /// Ends a key for good.
    package func revokePartnerKey(_ id: String) async throws -> CommandOutput {
        let key = try await client.call("net.openfederation.partner.revokeKey", ["id": .string(id)])
        return CommandOutput(key, text: "revoked \(id)")
    }

    /// Looks at a key's origins for the proof.
    package func verifyPartnerKey(_ id: String) async throws -> CommandOutput {
        let key = try await client.call("net.openfederation.partner.verifyKey", ["id": .string(id)])
        return CommandOutput(key, text: "all origins of \(id) are the partner's")
    }

    /// Date and time to the second.
    private static func moment(_ value: DataValue, _ key: String) -> String {
        String(text(value, key).prefix(19)).replacing("T", with: " ")
    }
}
