/// Where a record lies in its repository: the key of the Merkle search tree, e.g. `app.bsky.feed.post/3jzfcijpj2z2a`.
///
/// Ordered as the tree orders its keys: by the bytes of `string`.
///
/// - Spec: https://atproto.com/specs/repository (section "Repo Data Structure")
package struct RepositoryPath: StringSyntax {
    package static let kind = SyntaxError.Kind.repositoryPath

    package let collection: NSID
    package let key: RecordKey

    package init(_ collection: NSID, _ key: RecordKey) {
        self.collection = collection
        self.key = key
    }

    package init(parsing string: String) throws(SyntaxError) {
        let bytes = string.utf8
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/")) else {
            throw SyntaxError(Self.kind, "no slash between collection and record key")
        }
        collection = try NSID(parsing: String(string[..<slash]))
        key = try RecordKey(parsing: String(string[bytes.index(after: slash)...]))
    }

    /// `collection/key`, at most 830 bytes.
    package var string: String { "\(collection.string)/\(key.string)" }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        guard let slash = utf8.firstIndex(of: UInt8(ascii: "/")) else {
            return "no slash between collection and record key"
        }
        return NSID.fault(in: utf8.extracting(0..<slash))
            ?? RecordKey.fault(in: utf8.extracting((slash + 1)..<utf8.count))
    }
}
