/// What a directory asks of a new operation beyond the rules of the log, so that documents stay small and sound.
///
/// Logs of others are not held to it: they hold what was accepted when other limits were in force.
///
/// - Spec: https://web.plc.directory/spec/v0.1/did-plc (sections "How it works", "Possible Future Changes")
package enum PLCSubmission {
    /// Most rotation keys; there must be one at least.
    package static let rotationKeyCountMax = 5
    /// Most entries of each of `alsoKnownAs`, `verificationMethods` and `services`.
    package static let entryCountMax = 10
    /// Longest entry of `alsoKnownAs`, in bytes: `at://` and the longest handle.
    package static let alsoKnownAsLengthMax = 258
    /// Longest name of a verification method or service, in bytes.
    package static let nameLengthMax = 32
    /// Longest did:key of a verification method, in bytes. Its algorithm may be one this server cannot use.
    package static let keyLengthMax = 256
    /// Longest `type` of a service, in bytes.
    package static let serviceTypeLengthMax = 256
    /// Longest `endpoint` of a service, in bytes.
    package static let serviceEndpointLengthMax = 512

    /// Judges an operation by itself; signature and place in the log are for `PLCLog.apply`.
    ///
    /// - Throws: `tooLarge` or `notAccepted`.
    package static func check(_ operation: PLCOperation) throws(PLCError) {
        guard operation.bytes.count <= PLCOperation.sizeBytesMax else {
            throw .tooLarge(sizeBytes: operation.bytes.count)
        }
        switch operation.change {
        case .tombstone: return
        case .legacyCreate: throw .notAccepted("operations of the type \"create\" are no longer accepted")
        case .update(let state, _): try check(state)
        }
    }

    private static func check(_ state: PLCState) throws(PLCError) {
        try checkRotationKeys(state.rotationKeys)
        try require(state.alsoKnownAs.count <= entryCountMax, "too many alsoKnownAs entries")
        try require(Set(state.alsoKnownAs).count == state.alsoKnownAs.count, "an alsoKnownAs entry appears twice")
        for entry in state.alsoKnownAs {
            try require(entry.utf8.count <= alsoKnownAsLengthMax, "an alsoKnownAs entry is too long")
        }
        try require(state.verificationMethods.count <= entryCountMax, "too many verificationMethods")
        for (name, key) in state.verificationMethods {
            try require(name.string.utf8.count <= nameLengthMax, "the name of a verification method is too long")
            try require(isPlausibleKey(key), "a verification method is not a did:key")
        }
        try require(state.services.count <= entryCountMax, "too many services")
        for (name, service) in state.services {
            try require(name.string.utf8.count <= nameLengthMax, "the name of a service is too long")
            try require(service.type.utf8.count <= serviceTypeLengthMax, "the type of a service is too long")
            try require(service.endpoint.utf8.count <= serviceEndpointLengthMax, "a service's endpoint is too long")
        }
    }

    private static func checkRotationKeys(_ keys: [String]) throws(PLCError) {
        try require((1...rotationKeyCountMax).contains(keys.count), "there must be 1 to 5 rotationKeys")
        try require(Set(keys).count == keys.count, "a rotation key appears twice")
        for key in keys {
            try require((try? PublicKey(didKey: key)) != nil, "a rotation key is not a did:key of P-256 or K-256")
        }
    }

    private static func isPlausibleKey(_ key: String) -> Bool {
        key.utf8.count <= keyLengthMax && key.hasPrefix("did:key:z")
            && key.dropFirst("did:key:z".count).utf8.allSatisfy { $0.isASCIIAlphanumeric }
    }

    private static func require(_ holds: Bool, _ reason: String) throws(PLCError) {
        guard holds else { throw .notAccepted(reason) }
    }
}
