package import Base

/// Why a text is not the identifier it was taken for.
package struct SyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of identifier; the raw value is its name as people know it.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case did = "DID"
        case handle = "handle"
        case atIdentifier = "AT identifier"
        case nsid = "NSID"
        case recordKey = "record key"
        case repositoryPath = "repository path"
        case tid = "TID"
        case atURI = "AT URI"
        case datetime = "datetime"
        case languageTag = "language tag"
        case cid = "CID"
        case uri = "URI"
    }

    /// What the text was parsed as.
    package let kind: Kind
    /// The rule it broke, as a clause without a full stop. Never repeats the text.
    package let reason: String

    package init(_ kind: Kind, _ reason: StaticString) {
        self.kind = kind
        self.reason = reason.description
    }

    package var description: String { "invalid \(kind.rawValue): \(reason)" }
}

extension SyntaxError: WireConvertible {
    package var wire: WireFailure {
        WireFailure(status: 400, error: "InvalidRequest", message: description)
    }
}
