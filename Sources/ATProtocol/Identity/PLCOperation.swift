import Base

/// What an operation of did:plc does, before it is signed.
package enum PLCChange: Sendable, Hashable {
    /// Creates the identity (`prev` is nil) or replaces all it says.
    case update(PLCState, prev: CID?)
    /// Creates the identity in the old form.
    case legacyCreate(PLCLegacyCreate)
    /// Ends the identity.
    case tombstone(prev: CID)

    /// The operation this one follows; nil for the first.
    package var prev: CID? {
        switch self {
        case .update(_, let prev): prev
        case .legacyCreate: nil
        case .tombstone(let prev): prev
        }
    }

    /// What the identity says after it, nil after a tombstone.
    package var state: PLCState? {
        switch self {
        case .update(let state, _): state
        case .legacyCreate(let create): create.state
        case .tombstone: nil
        }
    }

    /// Signs the change.
    ///
    /// - Throws: what the signer throws.
    package func signed(by key: some RepositorySigner) throws -> PLCOperation {
        PLCOperation(self, signature: Base64URL.encode(try key.sign(DataValue.map(map).cbor())))
    }
}

/// A signed operation of did:plc.
///
/// ```
/// {type: "plc_operation", rotationKeys, verificationMethods, alsoKnownAs, services, prev, sig}
/// {type: "plc_tombstone", prev, sig}
/// {type: "create", signingKey, recoveryKey, handle, service, prev: null, sig}
/// ```
/// Equality is that of the bytes. Whether the signature is good, only a log can tell (`PLCLog`).
///
/// - Spec: https://web.plc.directory/spec/v0.1/did-plc (section "Operation Serialization, Signing, and Validation")
package struct PLCOperation: Sendable, Hashable {
    package let change: PLCChange
    /// `sig` as written: base64url of r ‖ s in a valid operation.
    package let signature: String
    /// DAG-CBOR with the signature.
    package let bytes: [UInt8]
    /// Of `bytes`: what the next operation's `prev` names.
    package let cid: CID

    /// Longest operation, in bytes of DAG-CBOR.
    package static let sizeBytesMax = 7_500

    /// An operation with a signature made elsewhere.
    package init(_ change: PLCChange, signature: String) {
        self.change = change
        self.signature = signature
        var map = change.map
        map["sig"] = .string(signature)
        bytes = DataValue.map(map).cbor()
        cid = CID.of(dagCBOR: bytes)
    }

    /// The operation this one follows; nil for the first.
    package var prev: CID? { change.prev }

    /// What the identity says after it, nil after a tombstone.
    package var state: PLCState? { change.state }

    /// The DID this operation makes up when it is the first: 24 characters of the hash of its bytes.
    package var genesisDID: DID {
        let text = "did:plc:" + Base32.encode(cid.digest).prefix(24)
        // Lower-case base32 after the prefix is a DID by its grammar, whatever was hashed.
        guard let did = try? DID(parsing: text) else { preconditionFailure("\(text) is no DID") }
        return did
    }

    /// The position of the first of `keys` (did:keys) that made the signature; keys that cannot be read are passed over.
    ///
    /// - Throws: `badSignatureEncoding`.
    package func signerIndex(among keys: some Collection<String>) throws(PLCError) -> Int? {
        guard let signature = Base64URL.decode(signature), signature.count == 64 else { throw .badSignatureEncoding }
        let message = DataValue.map(change.map).cbor()
        for (index, didKey) in keys.enumerated() {
            guard let key = try? PublicKey(didKey: didKey) else { continue }
            if key.isValid(signature: signature, for: message) { return index }
        }
        return nil
    }

    package static func == (left: PLCOperation, right: PLCOperation) -> Bool { left.cid == right.cid }

    package func hash(into hasher: inout Hasher) { hasher.combine(cid) }
}

// MARK: - Writing

extension PLCOperation {
    /// The operation as JSON shows it.
    package var value: DataValue {
        var map = change.map
        map["sig"] = .string(signature)
        return .map(map)
    }
}

extension PLCChange {
    /// The operation without its signature: what is signed, as DAG-CBOR.
    fileprivate var map: DataMap {
        switch self {
        case .update(let state, let prev):
            [
                "type": .string(Self.updateType),
                "rotationKeys": .array(state.rotationKeys.map { .string($0) }),
                "verificationMethods": .map(state.verificationMethodMap),
                "alsoKnownAs": .array(state.alsoKnownAs.map { .string($0) }),
                "services": .map(state.serviceMap),
                "prev": prev.map { .string($0.string) } ?? .null,
            ]
        case .legacyCreate(let create):
            [
                "type": .string(Self.legacyCreateType),
                "signingKey": .string(create.signingKey),
                "recoveryKey": .string(create.recoveryKey),
                "handle": .string(create.handle),
                "service": .string(create.service),
                "prev": .null,
            ]
        case .tombstone(let prev):
            ["type": .string(Self.tombstoneType), "prev": .string(prev.string)]
        }
    }

    fileprivate static let updateType = "plc_operation"
    fileprivate static let legacyCreateType = "create"
    fileprivate static let tombstoneType = "plc_tombstone"
}

extension PLCState {
    /// `verificationMethods` as JSON shows them.
    package var verificationMethodMap: DataMap {
        var map = DataMap()
        for (name, key) in verificationMethods { map[name.string] = .string(key) }
        return map
    }

    /// `services` as JSON shows them.
    package var serviceMap: DataMap {
        var map = DataMap()
        for (name, service) in services {
            map[name.string] = ["type": .string(service.type), "endpoint": .string(service.endpoint)]
        }
        return map
    }
}

// MARK: - Reading

extension PLCOperation {
    /// Reads an operation. Fields that its kind does not have are refused.
    ///
    /// - Throws: `malformed` with the field.
    package init(_ value: DataValue) throws(PLCError) {
        guard case .map(let map) = value else { throw .malformed("not an object") }
        let change: PLCChange
        switch map["type"]?.stringValue {
        case PLCChange.updateType?:
            try map.onlyFields(
                ["type", "rotationKeys", "verificationMethods", "alsoKnownAs", "services", "prev", "sig"])
            change = .update(try PLCState(map), prev: try map.optionalCID("prev"))
        case PLCChange.legacyCreateType?:
            try map.onlyFields(["type", "signingKey", "recoveryKey", "handle", "service", "prev", "sig"])
            guard map["prev"] == .null else { throw .malformed("prev") }
            change = .legacyCreate(
                PLCLegacyCreate(
                    signingKey: try map.text("signingKey"), recoveryKey: try map.text("recoveryKey"),
                    handle: try map.text("handle"), service: try map.text("service")))
        case PLCChange.tombstoneType?:
            try map.onlyFields(["type", "prev", "sig"])
            guard let prev = try map.optionalCID("prev") else { throw .malformed("prev") }
            change = .tombstone(prev: prev)
        default: throw .malformed("type")
        }
        self.init(change, signature: try map.text("sig"))
    }
}

extension PLCState {
    /// Reads the fields of an operation, or of what a directory answers under `/data`.
    package init(_ map: DataMap) throws(PLCError) {
        guard case .map(let methods)? = map["verificationMethods"] else { throw .malformed("verificationMethods") }
        var verificationMethods: [PLCName: String] = [:]
        for (name, value) in methods {
            guard case .string(let key) = value else { throw .malformed("verificationMethods") }
            verificationMethods[PLCName(name)] = key
        }
        guard case .map(let list)? = map["services"] else { throw .malformed("services") }
        var services: [PLCName: PLCService] = [:]
        for (name, value) in list {
            guard case .map(let fields) = value, fields.count == 2, case .string(let type)? = fields["type"],
                case .string(let endpoint)? = fields["endpoint"]
            else { throw .malformed("services") }
            services[PLCName(name)] = PLCService(type: type, endpoint: endpoint)
        }
        self.init(
            rotationKeys: try map.texts("rotationKeys"), verificationMethods: verificationMethods,
            alsoKnownAs: try map.texts("alsoKnownAs"), services: services)
    }
}

extension DataMap {
    /// Every field of an operation is required, so naming what is foreign is all that is left to do here.
    fileprivate func onlyFields(_ known: [String]) throws(PLCError) {
        for key in keys where !known.contains(where: { DataMap.sameKey($0, key) }) { throw .malformed(key) }
    }

    fileprivate func text(_ key: String) throws(PLCError) -> String {
        guard case .string(let text)? = self[key] else { throw .malformed(key) }
        return text
    }

    fileprivate func texts(_ key: String) throws(PLCError) -> [String] {
        guard case .array(let elements)? = self[key] else { throw .malformed(key) }
        var texts: [String] = []
        texts.reserveCapacity(elements.count)
        for element in elements {
            guard case .string(let text) = element else { throw .malformed(key) }
            texts.append(text)
        }
        return texts
    }

    /// A CID as text, or nil for null; the field must be there.
    fileprivate func optionalCID(_ key: String) throws(PLCError) -> CID? {
        switch self[key] {
        case .null?: return nil
        case .string(let text)?:
            guard let cid = try? CID(parsing: text), cid.codec == .dagCBOR else { throw .malformed(key) }
            return cid
        default: throw .malformed(key)
        }
    }
}
