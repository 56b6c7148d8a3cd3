/// A DID document, read tolerantly: what this server doesn't know or can't read is passed over, not refused.
///
/// - Spec: https://atproto.com/specs/did#did-documents
package struct DIDDocument: Sendable, Hashable {
    package let did: DID
    /// URIs as written.
    package let alsoKnownAs: [String]
    package let verificationMethods: [VerificationMethod]
    package let services: [Service]
    /// The whole document as it was received or made, for passing on.
    package let value: DataValue

    /// A public key in the document.
    package struct VerificationMethod: Sendable, Hashable {
        /// As written: `#atproto` or with the DID before it.
        package var id: String
        package var type: String
        package var controller: String?
        package var publicKeyMultibase: String?

        /// The key, nil when it is none of a kind the AT Protocol uses.
        package var publicKey: PublicKey? {
            guard let publicKeyMultibase else { return nil }
            if type == "Multikey" { return try? PublicKey(multikey: publicKeyMultibase) }
            guard let algorithm = KeyAlgorithm(legacyVerificationType: type) else { return nil }
            return try? PublicKey(algorithm: algorithm, legacyMultibase: publicKeyMultibase)
        }
    }

    /// A service in the document.
    package struct Service: Sendable, Hashable {
        /// As written: `#atproto_pds` or with the DID before it.
        package var id: String
        package var type: String
        /// As written.
        package var endpoint: String

        /// The endpoint when it is an origin: scheme and host, without a path.
        package var origin: ServiceOrigin? { ServiceOrigin(endpoint) }
    }

    /// Why a value is no DID document.
    package enum Failure: Error, Sendable, Hashable {
        /// Not JSON of the data model, or too large.
        case notJSON(DataModelError)
        /// Not an object with a DID as `id`.
        case noIdentifier
        /// The document is about another DID than it was fetched for.
        case wrongDID(DID)
    }

    /// The largest document, and how much may be in it.
    package static let limits = DataLimits(sizeBytesMax: 262_144, depthMax: 16, valueCountMax: 10_000)

    /// Reads a document.
    package init(_ value: DataValue) throws(Failure) {
        guard let id = value["id"]?.stringValue, let did = try? DID(parsing: id) else { throw .noIdentifier }
        self.did = did
        self.value = value
        alsoKnownAs = (value["alsoKnownAs"]?.arrayValue ?? []).compactMap(\.stringValue)
        verificationMethods = (value["verificationMethod"]?.arrayValue ?? []).compactMap(VerificationMethod.init)
        services = (value["service"]?.arrayValue ?? []).compactMap(Service.init)
    }

    /// Reads what was fetched for `did`; a document about any other DID is refused.
    package init(json: [UInt8], of did: DID) throws(Failure) {
        let value: DataValue
        do throws(DataModelError) { value = try DataValue(json: json, limits: Self.limits) } catch {
            throw .notJSON(error)
        }
        try self.init(value)
        guard self.did == did else { throw .wrongDID(self.did) }
    }

    /// The first verification method of this name that the identity itself controls.
    package func verificationMethod(named name: PLCName) -> VerificationMethod? {
        verificationMethods.first { method in
            isNamed(method.id, name) && (method.controller == nil || method.controller == did.string)
        }
    }

    /// The first service of this name.
    package func service(named name: PLCName) -> Service? {
        services.first { isNamed($0.id, name) }
    }

    /// The key that signs the repository: of the first `#atproto`, nil when there is none or it can't be read.
    package var signingKey: PublicKey? { verificationMethod(named: .atproto)?.publicKey }

    /// The personal data server: of the first `#atproto_pds`, nil unless it has the right type and is an origin.
    package var pdsEndpoint: ServiceOrigin? {
        guard let service = service(named: .atprotoPDS), service.type == PLCService.pdsType else { return nil }
        return service.origin
    }

    /// The handle the document claims: of the first `at://`, nil when that isn't a handle. It must still be resolved.
    package var handle: Handle? {
        let scheme = "at://".utf8
        guard let uri = alsoKnownAs.first(where: { $0.utf8.starts(with: scheme) }) else { return nil }
        return try? Handle(parsing: String(Substring(uri.utf8.dropFirst(scheme.count))))
    }

    private func isNamed(_ id: String, _ name: PLCName) -> Bool {
        id == "#" + name.string || id == did.string + "#" + name.string
    }
}

extension DIDDocument.VerificationMethod {
    fileprivate init?(_ value: DataValue) {
        guard let id = value["id"]?.stringValue, let type = value["type"]?.stringValue else { return nil }
        self.init(
            id: id, type: type, controller: value["controller"]?.stringValue,
            publicKeyMultibase: value["publicKeyMultibase"]?.stringValue)
    }
}

extension DIDDocument.Service {
    fileprivate init?(_ value: DataValue) {
        // An endpoint may also be a list or an object; no service of the AT Protocol has such a one.
        guard let id = value["id"]?.stringValue, let type = value["type"]?.stringValue,
            let endpoint = value["serviceEndpoint"]?.stringValue
        else { return nil }
        self.init(id: id, type: type, endpoint: endpoint)
    }
}

// MARK: - Rendering

extension DIDDocument {
    /// The document of an identity, in the form in which the public directory of did:plc shows it.
    package init(did: DID, state: PLCState) {
        self.did = did
        alsoKnownAs = state.alsoKnownAs
        let fragments = state.verificationMethodMap
        verificationMethods = fragments.map { name, key in
            let didKey = key.stringValue ?? ""
            return VerificationMethod(
                id: "\(did.string)#\(name)", type: "Multikey", controller: did.string,
                publicKeyMultibase: didKey.hasPrefix("did:key:") ? String(didKey.dropFirst(8)) : didKey)
        }
        services = state.serviceMap.map { name, service in
            Service(
                id: "#\(name)", type: service["type"]?.stringValue ?? "",
                endpoint: service["endpoint"]?.stringValue ?? "")
        }
        value = [
            "@context": .array(Self.contexts(verificationMethods).map { .string($0) }),
            "id": .string(did.string),
            "alsoKnownAs": .array(alsoKnownAs.map { .string($0) }),
            "verificationMethod": .array(verificationMethods.map(\.rendered)),
            "service": .array(services.map(\.rendered)),
        ]
    }

    private static func contexts(_ methods: [VerificationMethod]) -> [String] {
        var contexts = ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"]
        for method in methods {
            let context =
                switch method.publicKey?.algorithm {
                case .p256: "https://w3id.org/security/suites/ecdsa-2019/v1"
                case .k256: "https://w3id.org/security/suites/secp256k1-2019/v1"
                case nil: contexts[0]
                }
            if !contexts.contains(context) { contexts.append(context) }
        }
        return contexts
    }
}

extension DIDDocument.VerificationMethod {
    fileprivate var rendered: DataValue {
        var map: DataMap = ["id": .string(id), "type": .string(type)]
        map["controller"] = controller.map { .string($0) }
        map["publicKeyMultibase"] = publicKeyMultibase.map { .string($0) }
        return .map(map)
    }
}

extension DIDDocument.Service {
    fileprivate var rendered: DataValue {
        ["id": .string(id), "type": .string(type), "serviceEndpoint": .string(endpoint)]
    }
}
