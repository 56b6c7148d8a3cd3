package import ATProtocol

/// The domains under which a server gives handles: `.example.com` makes `alice` into `alice.example.com`.
///
/// - Spec: https://atproto.com/specs/handle
package struct HandleDomains: Sendable, Hashable {
    /// Each with its leading dot, in lower case; at least one. The first is the one a bare name means.
    package let suffixes: [String]

    /// Shortest and longest name before the domain.
    package static let nameLengthMin = 3
    package static let nameLengthMax = 30

    /// The domains of a list such as `.example.com, .example.org`; the dot may be missing.
    ///
    /// Nil when the list is empty, or an entry is not a domain a handle can lie under.
    package init?(_ list: [String]) {
        var suffixes: [String] = []
        for entry in list {
            let suffix = entry.hasPrefix(".") ? entry.lowercased() : "." + entry.lowercased()
            guard Handle.isValid("name" + suffix) else { return nil }
            if !suffixes.contains(suffix) { suffixes.append(suffix) }
        }
        guard !suffixes.isEmpty else { return nil }
        self.suffixes = suffixes
    }

    /// Whether the server gives handles under the domain of `handle`.
    package func serves(_ handle: Handle) -> Bool {
        suffix(of: handle) != nil
    }

    /// The handle that `text` means: a whole handle as it is, a bare name under the first domain. An `@` before it is
    /// passed over.
    ///
    /// - Throws: `.invalidHandle`.
    package func handle(_ text: String) throws(AccountError) -> Handle {
        let name = text.hasPrefix("@") ? String(text.dropFirst()) : text
        let whole = name.contains(".") ? name : name + suffixes[0]
        do {
            return try Handle(parsing: whole)
        } catch {
            throw .invalidHandle(reason: error.reason)
        }
    }

    /// The name before the domain when the server gives handles under it.
    package func name(of handle: Handle) -> Substring? {
        suffix(of: handle).map { handle.string.dropLast($0.count) }
    }

    /// Judges a handle that is to be given to an account under one of the domains.
    ///
    /// - Parameter names: whether names kept for the operator may be given.
    /// - Throws: `.unsupportedDomain`, `.invalidHandle`, `.reservedHandle`.
    package func checkGiven(_ handle: Handle, names: ReservedNames) throws(AccountError) {
        guard let name = name(of: handle) else { throw .unsupportedDomain }
        guard !name.contains(".") else {
            throw .invalidHandle(reason: "only one name may stand before \(suffix(of: handle) ?? "the domain")")
        }
        guard name.utf8.count >= Self.nameLengthMin else { throw .invalidHandle(reason: "the name is too short") }
        guard name.utf8.count <= Self.nameLengthMax else { throw .invalidHandle(reason: "the name is too long") }
        guard !name.contains("--") else { throw .invalidHandle(reason: "the name has two hyphens in a row") }
        guard names == .given || !ReservedNames.list.contains(String(name)) else { throw .reservedHandle }
    }

    /// Whether `host` lies under one of the domains, or is one: an identity there would be the server's own to give.
    func covers(_ host: String) -> Bool {
        suffixes.contains { host.hasSuffix($0) || "." + host == $0 }
    }

    private func suffix(of handle: Handle) -> String? {
        suffixes.first { handle.string.hasSuffix($0) && handle.string.utf8.count > $0.utf8.count }
    }
}

/// Names before the domain that could be taken for the server's own voice.
package enum ReservedNames: Sendable, Hashable {
    /// Refused: for everybody.
    case refused
    /// Given: for the operator's own accounts.
    case given

    static let list: Set<String> = Set(
        """
        about abuse account accounts admin administrator api app atproto auth billing blog bluesky bot bsky cdn \
        com community communities contact dashboard dev dns docs did domain email everyone feed feeds firehose ftp \
        help here hostmaster http https imap info invite kith label labeler legal localhost login logout mail \
        me mod moderation moderator news no-reply noc noreply notify ns1 ns2 null oauth official openfederation \
        operations operator ops pds plc police pop3 postmaster press privacy profile proxy register relay report \
        reports robot root safety security server service settings setup signin signup smtp sms ssl ssladmin staff \
        status sudo support sync sysadmin system team terms test tos trust undefined unknown usenet user users uucp \
        verify web webmaster well-known wpad www xrpc health
        """.split(separator: " ").map { String($0) })
}
