/// The rules of the data model that hold for every record, whether or not its lexicon is known.
///
/// Spec: https://atproto.com/specs/data-model
package enum RecordShape {
    /// Checks a record: a map at the top; every `$type` a non-empty string; every blob complete.
    ///
    /// - Throws: `.invalidShape` naming the path.
    package static func check(_ record: DataValue) throws(DataModelError) {
        guard case .map = record else {
            throw .invalidShape(path: "", message: "a record must be an object")
        }
        try check(record, path: "")
    }

    private static func check(_ value: DataValue, path: String) throws(DataModelError) {
        switch value {
        case .array(let elements):
            for (index, element) in elements.enumerated() where element.isContainer {
                try check(element, path: "\(path)[\(index)]")
            }
        case .map(let map):
            if let type = map["$type"] {
                guard let name = type.stringValue, !name.isEmpty else {
                    throw .invalidShape(path: join(path, "$type"), message: "must be a non-empty string")
                }
                if name == "blob" { try checkBlob(map, path: path) }
            }
            for (key, element) in map where element.isContainer {
                try check(element, path: join(path, key))
            }
        default: break
        }
    }

    private static func checkBlob(_ map: DataMap, path: String) throws(DataModelError) {
        guard let reference = BlobReference(.map(map)) else {
            throw .invalidShape(path: path, message: "a blob needs ref (link), mimeType (text) and size (integer)")
        }
        guard reference.cid.codec == .raw else {
            throw .invalidShape(path: join(path, "ref"), message: "a blob's CID must have the raw codec")
        }
        guard !reference.mimeType.isEmpty else {
            throw .invalidShape(path: join(path, "mimeType"), message: "must not be empty")
        }
    }

    /// Every blob a record mentions, in both forms, in order of appearance.
    package static func blobs(in record: DataValue) -> [CID] {
        var found: [CID] = []
        collect(record, into: &found)
        return found
    }

    private static func collect(_ value: DataValue, into found: inout [CID]) {
        switch value {
        case .array(let elements): for element in elements where element.isContainer { collect(element, into: &found) }
        case .map(let map):
            if let reference = BlobReference(value) {
                found.append(reference.cid)
            } else if let legacy = LegacyBlobReference(value) {
                found.append(legacy.cid)
            } else {
                for (_, element) in map where element.isContainer { collect(element, into: &found) }
            }
        default: break
        }
    }

    private static func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? key : "\(path).\(key)"
    }
}

extension DataValue {
    fileprivate var isContainer: Bool {
        switch self {
        case .array, .map: true
        default: false
        }
    }
}
