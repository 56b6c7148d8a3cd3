/// A bundle of permissions that an OAuth client asks for by one name.
///
/// - Spec: https://atproto.com/specs/permission (section "Permission Sets")
package struct LexiconPermissionSet: Sendable, Hashable {
    package let title: String?
    package let titleTranslations: [LanguageTag: String]
    package let detail: String?
    package let detailTranslations: [LanguageTag: String]
    /// The permissions this server understands and the set has authority to give.
    package let permissions: [LexiconPermission]
    /// Why each of the others is passed over, with its path: an unknown resource, field or value, a wildcard, an NSID
    /// outside the set's group. A partly understood permission might grant more than was meant.
    package let ignored: [String]

    /// Reads the definition `fields` of the document `id`.
    init(_ fields: LexiconFields, of id: NSID) throws(LexiconError) {
        title = try fields.string("title")
        titleTranslations = try fields.translations("title:lang")
        detail = try fields.string("detail")
        detailTranslations = try fields.translations("detail:lang")
        var permissions: [LexiconPermission] = []
        var ignored: [String] = []
        for (index, value) in try fields.required(fields.array("permissions"), "permissions").enumerated() {
            let path = "\(fields.path("permissions"))[\(index)]"
            let entry = try LexiconFields(value, path: path)
            guard try entry.string("type") == "permission" else { throw entry.fault("type", "must be permission") }
            let resource = try entry.required(entry.string("resource"), "resource")
            switch try LexiconPermission.read(entry, resource: resource, set: id) {
            case .understood(let permission): permissions.append(permission)
            case .ignored(let reason): ignored.append("\(path) \(reason)")
            }
        }
        self.permissions = permissions
        self.ignored = ignored
    }
}

/// One permission of a set.
package enum LexiconPermission: Sendable, Hashable {
    /// To write records of these collections in these ways.
    case repo(collections: [NSID], actions: Set<RepoAction>)
    /// To call these methods of other services.
    case rpc(methods: [NSID], audience: Audience)

    /// How a record is written.
    package enum RepoAction: String, Sendable, Hashable, CaseIterable {
        case create
        case update
        case delete
    }

    /// Which services may be called.
    package enum Audience: Sendable, Hashable {
        case any
        /// The `aud` of the scope that includes the set; without one the permission is void.
        case inherited
    }

    enum Reading {
        case understood(LexiconPermission)
        case ignored(String)
    }

    /// Reads an entry; errors are for what no permission may look like, whatever the resource's future fields.
    static func read(_ fields: LexiconFields, resource: String, set: NSID) throws(LexiconError) -> Reading {
        switch resource {
        case "repo":
            let collections = try fields.required(fields.strings("collection"), "collection")
            guard !collections.isEmpty else { throw fields.fault("collection", "must not be empty") }
            let names = try fields.strings("action") ?? RepoAction.allCases.map(\.rawValue)
            let actions = names.compactMap(RepoAction.init)
            guard actions.count == names.count, !actions.isEmpty, Set(actions).count == actions.count else {
                return .ignored("has an unknown, a repeated or no action")
            }
            guard Set(collections).count == collections.count else { return .ignored("repeats a collection") }
            if let field = unknownField(fields, ["collection", "action"]) { return .ignored("has the field \(field)") }
            guard let nsids = within(collections, set) else {
                return .ignored("names a collection outside the set's group")
            }
            return .understood(.repo(collections: nsids, actions: Set(actions)))
        case "rpc":
            let methods = try fields.required(fields.strings("lxm"), "lxm")
            guard !methods.isEmpty else { throw fields.fault("lxm", "must not be empty") }
            let audience = try fields.string("aud")
            let inherits = try fields.boolean("inheritAud") ?? false
            if let field = unknownField(fields, ["lxm", "aud", "inheritAud"]) {
                return .ignored("has the field \(field)")
            }
            guard inherits ? audience == nil : audience == "*" else {
                return .ignored("must have either aud * or inheritAud")
            }
            guard let nsids = within(methods, set) else { return .ignored("names a method outside the set's group") }
            return .understood(.rpc(methods: nsids, audience: inherits ? .inherited : .any))
        default:
            return .ignored("is for the resource \(resource), which sets cannot give")
        }
    }

    private static func unknownField(_ fields: LexiconFields, _ known: Set<String>) -> String? {
        fields.map.keys.first { !known.contains($0) && !["type", "resource", "description"].contains($0) }
    }

    /// The NSIDs, when all are such and within the group of `set`. A wildcard is no NSID.
    private static func within(_ texts: [String], _ set: NSID) -> [NSID]? {
        var nsids: [NSID] = []
        for text in texts {
            guard let nsid = try? NSID(parsing: text), nsid.isWithinGroup(of: set) else { return nil }
            nsids.append(nsid)
        }
        return nsids
    }
}
