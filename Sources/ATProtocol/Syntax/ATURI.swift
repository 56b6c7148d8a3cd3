/// A reference to an account, a collection or a record: `at://AUTHORITY[/COLLECTION[/RKEY]]`.
///
/// The restricted form that records and methods use: no query, no fragment, no trailing slash; at most 8192 bytes.
/// A handle as authority is put in lower case.
///
/// - Spec: https://atproto.com/specs/at-uri-scheme
package struct ATURI: StringSyntax {
    package static let kind = SyntaxError.Kind.atURI
    /// The longest AT URI, in bytes.
    package static let lengthMax = 8192

    package let authority: ATIdentifier
    package let collection: NSID?
    /// Only ever present together with a collection.
    package let key: RecordKey?

    /// The URI of a record.
    package init(_ authority: ATIdentifier, _ path: RepositoryPath) {
        self.authority = authority
        collection = path.collection
        key = path.key
    }

    /// The URI of a record in the repository of `did`.
    package init(_ did: DID, _ collection: NSID, _ key: RecordKey) {
        self.init(.did(did), RepositoryPath(collection, key))
    }

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        let parts = string.utf8.dropFirst(5).split(
            separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
        authority = try ATIdentifier(parsing: String(Substring(parts[0])))
        collection = parts.count > 1 ? try NSID(parsing: String(Substring(parts[1]))) : nil
        key = parts.count > 2 ? try RecordKey(parsing: String(Substring(parts[2]))) : nil
    }

    /// Where the record lies in its repository; nil when the URI names no record.
    package var path: RepositoryPath? {
        guard let collection, let key else { return nil }
        return RepositoryPath(collection, key)
    }

    package var string: String {
        switch (collection, key) {
        case (nil, _): "at://\(authority.string)"
        case (let collection?, nil): "at://\(authority.string)/\(collection.string)"
        case (let collection?, let key?): "at://\(authority.string)/\(collection.string)/\(key.string)"
        }
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard utf8.starts(with: "at://") else { return "does not begin with \"at://\"" }
        guard utf8.count <= lengthMax else { return "longer than 8192 bytes" }
        let slash = UInt8(ascii: "/")
        let authorityEnd = utf8.firstIndex(of: slash, from: 5) ?? utf8.count
        if let fault = ATIdentifier.fault(in: utf8.extracting(5..<authorityEnd)) { return fault }
        guard authorityEnd < utf8.count else { return nil }
        let collectionEnd = utf8.firstIndex(of: slash, from: authorityEnd + 1) ?? utf8.count
        if let fault = NSID.fault(in: utf8.extracting((authorityEnd + 1)..<collectionEnd)) { return fault }
        guard collectionEnd < utf8.count else { return nil }
        return RecordKey.fault(in: utf8.extracting((collectionEnd + 1)..<utf8.count))
    }
}
