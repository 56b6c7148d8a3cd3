package import ATProtocol

/// What a community says of a member: an object of the data model, within limits.
package struct AttestationClaim: Sendable, Hashable {
    /// Limits of what can be claimed.
    package enum Limits {
        /// Bytes of the claim as JSON.
        package static let byteCountMax = 4_096
        /// Objects and lists inside one another, the claim itself counted.
        package static let depthMax = 5
        /// Fields of a claim that is hidden.
        package static let fieldCountMax = 64
        /// Bytes of the name of a field that is hidden.
        package static let nameByteCountMax = 256
    }

    package let fields: DataMap

    /// - Throws: `AttestationError.claimTooLarge`, `.invalidClaim`.
    package init(_ value: DataValue) throws(AttestationError) {
        guard case .map(let fields) = value else { throw .invalidClaim("it is not an object") }
        guard value.json().count <= Limits.byteCountMax else { throw .claimTooLarge }
        guard Self.depth(of: value) <= Limits.depthMax else {
            throw .invalidClaim("it is nested more than \(Limits.depthMax) deep")
        }
        guard !Self.holdsBlob(value) else { throw .invalidClaim("it refers to a blob") }
        self.fields = fields
    }

    /// Levels of objects and lists; 0 for a plain value.
    private static func depth(of value: DataValue) -> Int {
        switch value {
        case .array(let elements): 1 + (elements.map(depth).max() ?? 0)
        case .map(let map): 1 + (map.map { depth(of: $0.value) }.max() ?? 0)
        default: 0
        }
    }

    private static func holdsBlob(_ value: DataValue) -> Bool {
        switch value {
        case .array(let elements): elements.contains(where: holdsBlob)
        case .map(let map):
            map["$type"]?.stringValue == "blob" || map.contains { holdsBlob($0.value) }
        default: false
        }
    }
}
