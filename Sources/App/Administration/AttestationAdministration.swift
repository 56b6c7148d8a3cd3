package import ATProtocol

/// The operator's commands over what communities state of their members.
extension Administration {
    /// What the operator has a community state.
    package struct AttestationRequest: Sendable {
        package var community: String
        package var subject: String
        package var subjectHandle: String
        package var type: String
        /// An object.
        package var claim: DataValue
        package var expires: String?
        package var isPrivate: Bool

        /// - Parameter claim: JSON of an object.
        /// - Throws: an error that says what is wrong with the claim.
        package init(
            community: String, subject: String, subjectHandle: String, type: String, claim: String,
            expires: String?, isPrivate: Bool
        ) throws {
            self.community = community
            self.subject = subject
            self.subjectHandle = subjectHandle
            self.type = type
            self.claim = try DataValue(json: Array(claim.utf8))
            self.expires = expires
            self.isPrivate = isPrivate
        }
    }

    /// Has a community state something of a member.
    package func issueAttestation(_ request: AttestationRequest) async throws -> CommandOutput {
        var input: DataMap = [
            "communityDid": .string(request.community), "subjectDid": .string(request.subject),
            "subjectHandle": .string(request.subjectHandle), "type": .string(request.type), "claim": request.claim,
        ]
        input["expiresAt"] = request.expires.map { .string($0) }
        if request.isPrivate { input["visibility"] = "private" }
        let issued = try await client.call("net.openfederation.community.issueAttestation", input)
        return CommandOutput(issued, text: Self.text(issued, "rkey"))
    }

    /// Takes an attestation back.
    package func deleteAttestation(
        _ key: String, in community: String, reason: String?
    ) async throws -> CommandOutput {
        var input: DataMap = ["communityDid": .string(community), "rkey": .string(key)]
        input["reason"] = reason.map { .string($0) }
        let answer = try await client.call("net.openfederation.community.deleteAttestation", input)
        return CommandOutput(answer, text: "taken back: \(key)")
    }

    /// All that a community states, the newest first.
    package func listAttestations(
        _ community: String, subject: String?, type: String?
    ) async throws -> CommandOutput {
        var filter = [("communityDid", community), ("limit", "100")]
        if let subject { filter.append(("subjectDid", subject)) }
        if let type { filter.append(("type", type)) }
        var found: [DataValue] = []
        var cursor: String?
        repeat {
            let page = try await client.query(
                "net.openfederation.community.listAttestations", filter + (cursor.map { [("cursor", $0)] } ?? []))
            found += page["attestations"]?.arrayValue ?? []
            cursor = page["cursor"]?.stringValue
        } while cursor != nil
        let table = TextTable(
            ["KEY", "SUBJECT", "TYPE", "CLAIM", "ISSUED", "EXPIRES"],
            found.map { one in
                let isHidden = one["visibility"] == "private"
                return [
                    Self.text(one, "rkey"), Self.text(one, "subjectHandle"), Self.text(one, "type"),
                    isHidden ? "(private)" : String(decoding: (one["claim"] ?? .null).json(), as: UTF8.self),
                    String(Self.text(one, "issuedAt").prefix(10)), String(Self.text(one, "expiresAt").prefix(10)),
                ]
            })
        return CommandOutput(.array(found), text: found.isEmpty ? "no attestations" : table.text)
    }
}
