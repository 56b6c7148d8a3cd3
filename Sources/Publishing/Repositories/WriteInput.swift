import ATProtocol
import Contracts
import Web

/// Reads the fields that the methods of `com.atproto.repo` share, from the body or from the parameters.
struct WriteInput {
    private let fields: DataMap

    init(_ call: XRPCCall<Caller>) {
        fields = call.input.mapValue ?? call.parameters
    }

    init(_ fields: DataMap) {
        self.fields = fields
    }

    private func text(_ name: String) throws(RepositoryWriteError) -> String {
        guard let text = fields[name]?.stringValue else { throw .invalidRequest("\(name) is required") }
        return text
    }

    func identifier(_ name: String) throws(RepositoryWriteError) -> ATIdentifier {
        let text = try text(name)
        do { return try ATIdentifier(parsing: text) } catch { throw .invalidRequest("\(name): \(error)") }
    }

    func did(_ name: String) throws(RepositoryWriteError) -> DID {
        let text = try text(name)
        do { return try DID(parsing: text) } catch { throw .invalidRequest("\(name): \(error)") }
    }

    func collection() throws(RepositoryWriteError) -> NSID {
        let text = try text("collection")
        do { return try NSID(parsing: text) } catch { throw .invalidRequest("collection: \(error)") }
    }

    func key(_ name: String) throws(RepositoryWriteError) -> RecordKey {
        let text = try text(name)
        do { return try RecordKey(parsing: text) } catch { throw .invalidRequest("\(name): \(error)") }
    }

    func optionalKey(_ name: String) throws(RepositoryWriteError) -> RecordKey? {
        guard fields[name] != nil else { return nil }
        return try key(name)
    }

    func record(_ name: String) throws(RepositoryWriteError) -> DataValue {
        guard let record = fields[name], case .map = record else {
            throw .invalidRequest("\(name) must be an object")
        }
        return record
    }

    func cid(_ text: String, _ name: String) throws(RepositoryWriteError) -> CID {
        do { return try CID(parsing: text) } catch { throw .invalidRequest("\(name): \(error)") }
    }

    func swapCommit() throws(RepositoryWriteError) -> CID? {
        guard let value = fields["swapCommit"], !value.isNull else { return nil }
        return try cid(value.stringValue ?? "", "swapCommit")
    }

    /// Absent: anything; null: there must be no record; a CID: exactly that record.
    func swapRecord() throws(RepositoryWriteError) -> RecordWrite.Swap {
        guard let value = fields["swapRecord"] else { return .anything }
        if value.isNull { return .absent }
        return .record(try cid(value.stringValue ?? "", "swapRecord"))
    }

    var mode: RecordValidationMode {
        switch fields["validate"]?.booleanValue {
        case true?: .required
        case false?: .skipped
        case nil: .whenKnown
        }
    }

    /// The operations of `applyWrites`.
    func writes() throws(RepositoryWriteError) -> [RecordWrite] {
        guard let array = fields["writes"]?.arrayValue else { throw .invalidRequest("writes is required") }
        guard array.count <= WriteLimits.operationCountMax else {
            throw .invalidRequest("writes: at most \(WriteLimits.operationCountMax) operations are allowed")
        }
        var writes: [RecordWrite] = []
        for (index, value) in array.enumerated() {
            guard case .map(let map) = value else { throw .invalidRequest("writes[\(index)] must be an object") }
            let input = WriteInput(map)
            let collection = try input.collection()
            switch map["$type"]?.stringValue {
            case "com.atproto.repo.applyWrites#create":
                writes.append(
                    RecordWrite(
                        collection: collection,
                        action: .create(key: try input.optionalKey("rkey"), record: try input.record("value"))))
            case "com.atproto.repo.applyWrites#update":
                writes.append(
                    RecordWrite(
                        collection: collection,
                        action: .update(key: try input.key("rkey"), record: try input.record("value"))))
            case "com.atproto.repo.applyWrites#delete":
                writes.append(
                    RecordWrite(collection: collection, action: .delete(key: try input.key("rkey"), mustExist: true)))
            default: throw .invalidRequest("writes[\(index)].$type is not a known operation")
            }
        }
        return writes
    }
}
