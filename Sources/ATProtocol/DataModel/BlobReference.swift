/// A record's mention of a blob: `{"$type": "blob", "ref": link, "mimeType": text, "size": integer}`.
///
/// Spec: https://atproto.com/specs/data-model#blob-type
package struct BlobReference: Sendable, Hashable {
    /// The blob's CID, codec raw.
    package var cid: CID
    package var mimeType: String
    /// Length of the blob in bytes, zero or more.
    package var sizeBytes: Int64

    package init(cid: CID, mimeType: String, sizeBytes: Int64) {
        self.cid = cid
        self.mimeType = mimeType
        self.sizeBytes = sizeBytes
    }

    /// Reads the present form; nil when `value` is not a well-formed blob reference.
    package init?(_ value: DataValue) {
        guard case .map(let map) = value, map["$type"]?.stringValue == "blob", let cid = map["ref"]?.linkValue,
            let mimeType = map["mimeType"]?.stringValue, let size = map["size"]?.integerValue, size >= 0
        else { return nil }
        self.init(cid: cid, mimeType: mimeType, sizeBytes: size)
    }

    /// The reference as a value.
    package var value: DataValue {
        ["$type": "blob", "ref": .link(cid), "mimeType": .string(mimeType), "size": .integer(sizeBytes)]
    }
}

/// The form of blob references before 2023: `{"cid": text, "mimeType": text}`. Read in old records, refused in new ones.
package struct LegacyBlobReference: Sendable, Hashable {
    package var cid: CID
    package var mimeType: String

    /// Reads the old form; nil when `value` is anything else.
    package init?(_ value: DataValue) {
        guard case .map(let map) = value, map.count == 2, let text = map["cid"]?.stringValue,
            let cid = try? CID(parsing: text), let mimeType = map["mimeType"]?.stringValue
        else { return nil }
        self.cid = cid
        self.mimeType = mimeType
    }
}
