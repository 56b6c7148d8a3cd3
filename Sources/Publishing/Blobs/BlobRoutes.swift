import ATProtocol
import Base
package import Contracts
package import Web

/// Blobs over XRPC: `repo.uploadBlob`, `repo.listMissingBlobs`, `sync.getBlob`, `sync.listBlobs`.
package struct BlobRoutes: Sendable {
    let blobs: BlobService

    package init(blobs: BlobService) {
        self.blobs = blobs
    }

    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        routes.procedure(
            "com.atproto.repo.uploadBlob", access: AccessRule(.sessionOrService, standing: .deactivatedToo),
            limits: [.per(.uploadBlob) { $0.caller.did?.string }], body: .blob, handler: uploadBlob)
        routes.query(
            "com.atproto.repo.listMissingBlobs", access: .session.allowing(.deactivatedToo), handler: listMissingBlobs)
        routes.query("com.atproto.sync.getBlob", access: .optionalExport, handler: getBlob)
        routes.query("com.atproto.sync.listBlobs", access: .optionalExport, handler: listBlobs)
    }

    @Sendable private func uploadBlob(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let did = call.caller.did else { throw RepositoryWriteError.notOwner }
        let reference = try await blobs.upload(call.body, declaredType: call.contentType, for: did)
        return .json(["blob": reference.value])
    }

    @Sendable private func listMissingBlobs(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let did = call.caller.did else { throw RepositoryWriteError.notOwner }
        let limit = Int(call.parameters["limit"]?.integerValue ?? 500)
        let missing = try await blobs.missing(did, cursor: try cursor(call), limit: limit)
        var output: DataMap = [
            "blobs": .array(
                missing.map { ["cid": .string($0.cid.string), "recordUri": .string("at://\(did)/\($0.path)")] })
        ]
        if missing.count == limit, let last = missing.last { output["cursor"] = .string(last.cid.string) }
        return .json(.map(output))
    }

    @Sendable private func listBlobs(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let limit = Int(call.parameters["limit"]?.integerValue ?? 500)
        let since = call.parameter("since").flatMap { try? TID(parsing: $0) }
        let cids = try await blobs.list(
            try WriteInput(call).did("did"), since: since, cursor: try cursor(call), limit: limit, for: call.caller)
        var output: DataMap = ["cids": .array(cids.map { .string($0.string) })]
        if cids.count == limit, let last = cids.last { output["cursor"] = .string(last.string) }
        return .json(.map(output))
    }

    private func cursor(_ call: XRPCCall<Caller>) throws -> CID? {
        try call.parameter("cursor").map { text throws(RepositoryWriteError) in
            try WriteInput(call).cid(text, "cursor")
        }
    }

    /// Content never changes under its CID: a strong validator, kept for ever. Scripts in it never run.
    @Sendable private func getBlob(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let input = WriteInput(call)
        let did = try input.did("did")
        let cid = try input.cid(call.parameter("cid") ?? "", "cid")
        let row = try await blobs.blob(cid, of: did, for: call.caller)
        let (tag, conditions) = (EntityTag(strong: cid.string), Preconditions(call.head))
        let disposition = "attachment; filename=\"\(cid)\""
        var headers: [XRPCResponse.Header] = [
            .init(name: "ETag", value: tag.headerValue), .init(name: "Accept-Ranges", value: "bytes"),
            .init(name: "Content-Security-Policy", value: "default-src 'none'; sandbox"),
            .init(name: "X-Content-Type-Options", value: "nosniff"),
            .init(name: "Content-Disposition", value: disposition),
        ]
        if case .anonymous = call.caller {
            headers.append(.init(name: "Cache-Control", value: "public, max-age=31536000, immutable"))
        }
        switch conditions.verdict(on: tag) {
        case .failed: throw WebFailure.preconditionFailed
        case .notModified: return .empty(status: 304, headers: headers)
        case .proceed: break
        }
        // Callers with credentials would send them on, and a HEAD is not what was signed.
        if case .anonymous = call.caller, call.head.method == "GET",
            let address = blobs.temporaryAddress(of: row, disposition: disposition)
        {
            let there: [XRPCResponse.Header] = [
                .init(name: "Location", value: address), .init(name: "Cache-Control", value: "no-store"),
            ]
            return XRPCResponse(status: 307, contentType: nil, headers: there, content: .none)
        }
        let wanted = conditions.admitsRange(of: tag) ? call.header("range") : nil
        switch ByteRange(wanted, sizeBytes: row.sizeBytes) {
        case .whole:
            let contents = try await blobs.contents(row, range: nil)
            return .stream(
                contents, contentType: row.mimeType, byteCount: Int(row.sizeBytes), headers: headers)
        case .part(let range):
            let contents = try await blobs.contents(row, range: range)
            let span = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(row.sizeBytes)"
            headers.append(.init(name: "Content-Range", value: span))
            return .stream(
                contents, contentType: row.mimeType, byteCount: range.count, status: 206, headers: headers)
        case .unsatisfiable:
            throw WebFailure.rangeNotSatisfiable(byteCount: row.sizeBytes)
        }
    }
}

/// What a Range header asks for (RFC 9110 section 14.2). More than one range, or one that is malformed, is ignored.
enum ByteRange: Equatable {
    case whole
    case part(Range<Int64>)
    case unsatisfiable

    init(_ header: String?, sizeBytes: Int64) {
        self = .whole
        guard let header, header.hasPrefix("bytes="), !header.contains(",") else { return }
        let ends = header.dropFirst(6).split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2 else { return }
        let first = Int64(ends[0])
        let last = Int64(ends[1])
        switch (first, last) {
        case (let first?, nil) where first >= 0 && ends[1].isEmpty:
            self = first < sizeBytes ? .part(first..<sizeBytes) : .unsatisfiable
        case (let first?, let last?) where first >= 0 && first <= last:
            self = first < sizeBytes ? .part(first..<min(last, sizeBytes - 1) + 1) : .unsatisfiable
        case (nil, let suffix?) where ends[0].isEmpty && suffix >= 0:
            self = suffix > 0 && sizeBytes > 0 ? .part(max(0, sizeBytes - suffix)..<sizeBytes) : .unsatisfiable
        default: return
        }
    }
}
