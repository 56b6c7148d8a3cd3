import ATProtocol
package import Contracts
package import Web

/// `com.atproto.repo.*`: decode, call, encode.
package struct RepositoryRoutes: Sendable {
    let writer: RepositoryWriter
    let reader: RepositoryReader
    let accounts: any Accounts
    let imports: RepositoryImport

    package init(
        writer: RepositoryWriter, reader: RepositoryReader, accounts: any Accounts, imports: RepositoryImport
    ) {
        self.writer = writer
        self.reader = reader
        self.accounts = accounts
        self.imports = imports
    }

    /// Points per operation (reference figures: create 3, put 2, delete 1).
    private enum Points {
        static let create = 3
        static let put = 2
        static let delete = 1
    }

    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure("com.atproto.repo.createRecord", access: .session, handler: createRecord)
        routes.procedure("com.atproto.repo.putRecord", access: .session, handler: putRecord)
        routes.procedure("com.atproto.repo.deleteRecord", access: .session, handler: deleteRecord)
        routes.procedure("com.atproto.repo.applyWrites", access: .session, handler: applyWrites)
        routes.query("com.atproto.repo.getRecord", access: .anyone, handler: getRecord)
        routes.query("com.atproto.repo.listRecords", access: .anyone, handler: listRecords)
        routes.query("com.atproto.repo.describeRepo", access: .anyone, handler: describeRepo)
        routes.procedure(
            "com.atproto.repo.importRepo", access: .fullSession.allowing(.deactivatedToo), handler: importRepo)
    }

    @Sendable private func createRecord(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let did = try await owner(of: try input.identifier("repo"), call)
        try charge(call, Points.create)
        let write = RecordWrite(
            collection: try input.collection(),
            action: .create(key: try input.optionalKey("rkey"), record: try input.record("record")))
        return try await answer(input, [write], did, call)
    }

    @Sendable private func putRecord(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let did = try await owner(of: try input.identifier("repo"), call)
        try charge(call, Points.put)
        let write = RecordWrite(
            collection: try input.collection(),
            action: .put(key: try input.key("rkey"), record: try input.record("record")), swap: try input.swapRecord())
        return try await answer(input, [write], did, call)
    }

    private func answer(
        _ input: WriteInput, _ writes: [RecordWrite], _ did: DID, _ call: XRPCCall<Caller>
    ) async throws -> XRPCResponse {
        let outcome = try await writer.apply(
            writes, to: did, by: call.caller, mode: input.mode, swapCommit: try input.swapCommit())
        var output = DataMap()
        if let result = outcome.results.first, let cid = result.cid {
            output["uri"] = .string(ATURI(.did(did), result.path).string)
            output["cid"] = .string(cid.string)
            if let status = result.validationStatus { output["validationStatus"] = .string(status) }
        }
        output["commit"] = commit(outcome)
        return .json(.map(output))
    }

    private func commit(_ outcome: RepositoryWriteOutcome) -> DataValue? {
        guard let cid = outcome.commit, let rev = outcome.rev else { return nil }
        return ["cid": .string(cid.string), "rev": .string(rev.string)]
    }

    @Sendable private func deleteRecord(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let did = try await owner(of: try input.identifier("repo"), call)
        try charge(call, Points.delete)
        let write = RecordWrite(
            collection: try input.collection(), action: .delete(key: try input.key("rkey"), mustExist: false),
            swap: try input.swapRecord())
        let outcome = try await writer.apply([write], to: did, by: call.caller, swapCommit: try input.swapCommit())
        var output = DataMap()
        output["commit"] = commit(outcome)
        return .json(.map(output))
    }

    @Sendable private func applyWrites(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let did = try await owner(of: try input.identifier("repo"), call)
        let writes = try input.writes()
        let points = writes.map { write in
            switch write.action {
            case .create: Points.create
            case .put, .update: Points.put
            case .delete: Points.delete
            }
        }
        try charge(call, points.reduce(0, +))
        let outcome = try await writer.apply(
            writes, to: did, by: call.caller, mode: input.mode, swapCommit: try input.swapCommit())
        let results: [DataValue] = zip(writes, outcome.results).map { write, result in
            guard let cid = result.cid else { return ["$type": "com.atproto.repo.applyWrites#deleteResult"] }
            let isCreation = if case .create = write.action { true } else { false }
            var map: DataMap = [
                "$type": .string("com.atproto.repo.applyWrites#\(isCreation ? "createResult" : "updateResult")"),
                "uri": .string(ATURI(.did(did), result.path).string), "cid": .string(cid.string),
            ]
            if let status = result.validationStatus { map["validationStatus"] = .string(status) }
            return .map(map)
        }
        var output: DataMap = ["results": .array(results)]
        output["commit"] = commit(outcome)
        return .json(.map(output))
    }

    /// Whose repository is meant: the caller's own, or that of a community here, which judges for itself who may write.
    private func owner(of identifier: ATIdentifier, _ call: XRPCCall<Caller>) async throws -> DID {
        guard let own = call.caller.did else { throw RepositoryWriteError.notOwner }
        if case .did(own) = identifier { return own }
        guard let standing = try await accounts.standing(of: identifier),
            standing.did == own || standing.kind != .person
        else { throw RepositoryWriteError.notOwner }
        return standing.did
    }

    private func charge(_ call: XRPCCall<Caller>, _ points: Int) throws {
        guard let writer = call.caller.did else { throw RepositoryWriteError.notOwner }
        try call.charge(.repositoryWritesHourly, key: writer.string, points: points)
        try call.charge(.repositoryWritesDaily, key: writer.string, points: points)
    }

    @Sendable private func getRecord(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let parameters = WriteInput(call)
        let cid = try call.parameter("cid").map { text throws(RepositoryWriteError) in
            try parameters.cid(text, "cid")
        }
        let (uri, row) = try await reader.record(
            try parameters.identifier("repo"), try parameters.collection(), try parameters.key("rkey"), cid: cid)
        let value = try DataValue(cbor: row.value)
        return .json(["uri": .string(uri.string), "cid": .string(row.cid.string), "value": value])
    }

    @Sendable private func listRecords(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let parameters = WriteInput(call)
        let collection = try parameters.collection()
        let (did, rows, cursor) = try await reader.records(
            try parameters.identifier("repo"), collection, cursor: call.parameter("cursor"),
            isAscending: call.parameters["reverse"]?.booleanValue ?? false,
            limit: Int(call.parameters["limit"]?.integerValue ?? 50))
        var output: DataMap = [
            "records": .array(
                try rows.map { row in
                    [
                        "uri": .string("at://\(did)/\(row.path)"), "cid": .string(row.cid.string),
                        "value": try DataValue(cbor: row.value),
                    ]
                })
        ]
        if let cursor { output["cursor"] = .string(cursor) }
        return .json(.map(output))
    }

    @Sendable private func describeRepo(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        .json(try await reader.describe(try WriteInput(call).identifier("repo")))
    }

    @Sendable private func importRepo(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let account = call.caller.account else { throw RepositoryWriteError.notOwner }
        _ = try await imports.run(call.body, did: account.did, by: .owner)
        return .json([:])
    }
}
