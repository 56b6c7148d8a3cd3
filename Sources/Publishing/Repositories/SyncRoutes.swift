import ATProtocol
import Base
package import Contracts
package import Web

/// `com.atproto.sync.*` but for blobs and the firehose: decode, call, encode.
package struct SyncRoutes: Sendable {
    let reader: RepositoryReader
    let export: RepositoryExport

    package init(reader: RepositoryReader, export: RepositoryExport) {
        self.reader = reader
        self.export = export
    }

    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.query(
            "com.atproto.sync.getRepo", access: .optionalExport, limits: [.perAddressInsteadOfGlobal(.export)],
            handler: getRepo)
        routes.query("com.atproto.sync.getRecord", access: .optional, handler: getRecord)
        routes.query("com.atproto.sync.getBlocks", access: .optional, handler: getBlocks)
        routes.query("com.atproto.sync.getLatestCommit", access: .optional, handler: getLatestCommit)
        routes.query("com.atproto.sync.getHead", access: .optional, handler: getHead)
        routes.query(
            "com.atproto.sync.getCheckout", access: .optionalExport, limits: [.perAddressInsteadOfGlobal(.export)],
            handler: getRepo)
        routes.query("com.atproto.sync.getRepoStatus", access: .anyone, handler: getRepoStatus)
        routes.query("com.atproto.sync.listRepos", access: .anyone, handler: listRepos)
        routes.query("com.atproto.sync.listReposByCollection", access: .anyone, handler: listReposByCollection)
    }

    /// Also `getCheckout`, which has no `since`. The strong validator of an archive is its head; a reader that has it
    /// need not be sent it again.
    @Sendable private func getRepo(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let row = try await reader.repository(try input.did("did"), for: call.caller)
        let since: TID?
        if let text = call.parameter("since") {
            guard let tid = try? TID(parsing: text) else {
                throw RepositoryReadError.invalidRequest("since is not a TID")
            }
            since = tid
        } else {
            since = nil
        }
        let tag = EntityTag(strong: "\(row.commit)\(since.map { "-\($0)" } ?? "")")
        let headers: [XRPCResponse.Header] = [.init(name: "ETag", value: tag.headerValue)]
        switch Preconditions(call.head).verdict(on: tag) {
        case .failed: throw WebFailure.preconditionFailed
        case .notModified: return .empty(status: 304, headers: headers)
        case .proceed: break
        }
        // Who downloads slowly must not keep others from it.
        let client = call.caller.isAdministrator ? nil : call.head.addressKey
        let stream = try await export.stream(row.did, since: since, for: client)
        return .stream(stream, contentType: CARWriter.mimeType, headers: headers)
    }

    @Sendable private func getRecord(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let did = try input.did("did")
        try await reader.admit(did, for: call.caller)
        let path = RepositoryPath(try input.collection(), try input.key("rkey"))
        guard let proof = try await export.proof(of: path, in: did) else {
            throw RepositoryReadError.repositoryNotFound
        }
        return .bytes(proof, contentType: CARWriter.mimeType)
    }

    @Sendable private func getBlocks(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try WriteInput(call).did("did")
        try await reader.admit(did, for: call.caller)
        var cids: [CID] = []
        for value in call.parameters["cids"]?.arrayValue ?? [] {
            guard let text = value.stringValue, let cid = try? CID(parsing: text) else {
                throw RepositoryReadError.invalidRequest("cids holds something that is no CID")
            }
            cids.append(cid)
        }
        return .bytes(try await export.blocks(cids, of: did), contentType: CARWriter.mimeType)
    }

    @Sendable private func getLatestCommit(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let row = try await reader.repository(try WriteInput(call).did("did"), for: call.caller)
        return .json(["cid": .string(row.commit.string), "rev": .string(row.rev.string)])
    }

    /// What `getLatestCommit` has replaced.
    @Sendable private func getHead(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let row = try await reader.repository(try WriteInput(call).did("did"), for: call.caller)
        return .json(["root": .string(row.commit.string)])
    }

    @Sendable private func getRepoStatus(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let did = try WriteInput(call).did("did")
        let (status, rev) = try await reader.status(did)
        var output: DataMap = ["did": .string(did.string), "active": .boolean(status.isActive)]
        if let name = status.wireName { output["status"] = .string(name) }
        if let rev { output["rev"] = .string(rev.string) }
        return .json(.map(output))
    }

    @Sendable private func listRepos(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (entries, cursor) = try await reader.list(
            cursor: call.parameter("cursor"), limit: Int(call.parameters["limit"]?.integerValue ?? 500))
        var output: DataMap = ["repos": .array(entries)]
        if let cursor { output["cursor"] = .string(cursor) }
        return .json(.map(output))
    }

    @Sendable private func listReposByCollection(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let (dids, cursor) = try await reader.list(
            with: try WriteInput(call).collection(), cursor: call.parameter("cursor"),
            limit: Int(call.parameters["limit"]?.integerValue ?? 500))
        var output: DataMap = ["repos": .array(dids.map { ["did": .string($0.string)] })]
        if let cursor { output["cursor"] = .string(cursor) }
        return .json(.map(output))
    }
}
