import ATProtocol
import Base

/// An object as the bucket describes it.
struct S3Object: Sendable, Hashable {
    let sizeBytes: Int64
    let entityTag: String
}

/// An object being read.
struct S3Reading: Sendable {
    let object: S3Object
    /// What the body covers.
    let range: Range<Int64>
    let body: any ObjectChunks
    let place: RequestSlots.Place
}

extension S3Bucket {
    /// Size and tag of an object.
    func head(_ key: String) async throws -> S3Object {
        let answer = try await answer(S3Call("HEAD", key))
        return S3Object(
            sizeBytes: try S3Answer.length(answer.header("content-length")), entityTag: try answer.entityTag())
    }

    /// Removes an object; succeeds when there is none.
    func delete(_ key: String) async throws {
        do {
            _ = try await answer(S3Call("DELETE", key))
        } catch let failure as S3Failure where failure.isNotFound {}
    }

    /// Opens an object.
    /// - Parameters:
    ///   - range: not empty, not negative; nil is all.
    ///   - tag: the object must still be the one of this tag.
    func open(_ key: String, range: Range<Int64>?, tag: String? = nil) async throws -> S3Reading {
        try await retrying {
            try await self.openOnce(key, range: range, tag: tag, place: try await self.turn(self.reads))
        }
    }

    /// As `open`, with one attempt.
    func openOnce(
        _ key: String, range: Range<Int64>?, tag: String?, place: RequestSlots.Place
    ) async throws -> S3Reading {
        var call = S3Call("GET", key)
        call.headers.append(("accept-encoding", "identity"))
        if let range { call.headers.append(("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")) }
        if let tag { call.headers.append(("if-match", tag)) }
        let reply = try await send(call)
        guard reply.status == (range == nil ? 200 : 206) else {
            _ = try await whole(reply, of: call)
            throw S3Failure.lied("status \(reply.status) to a read")
        }
        let length = try S3Answer.length(reply.header("content-length"))
        let (covered, size) = try Self.covered(reply.header("content-range"), length: length, range: range)
        let object = S3Object(sizeBytes: size, entityTag: try S3Answer.entityTag(reply.header("etag")))
        guard tag == nil || tag == object.entityTag else { throw S3Failure.lied("another object than asked for") }
        return S3Reading(object: object, range: covered, body: reply.body, place: place)
    }

    /// What an answer covers, and the size of the whole: the range asked for, clamped, or nothing is right.
    private static func covered(
        _ header: String?, length: Int64, range: Range<Int64>?
    ) throws(S3Failure) -> (Range<Int64>, size: Int64) {
        guard let range else { return (0..<length, length) }
        guard let header, header.hasPrefix("bytes ") else { throw .lied("no Content-Range") }
        let numbers = header.dropFirst(6).split(omittingEmptySubsequences: false) { "-/".contains($0) }.map(String.init)
        guard numbers.count == 3 else { throw .lied("no Content-Range") }
        let first = try S3Answer.length(numbers[0])
        let (last, size) = (try S3Answer.length(numbers[1]), try S3Answer.length(numbers[2]))
        guard first == range.lowerBound, last == min(range.upperBound, size) - 1, last >= first,
            length == last - first + 1
        else { throw .lied("another range than asked for") }
        return (first..<last + 1, size)
    }

    // MARK: Writing

    /// Stores a spooled upload and makes sure that it is there.
    func put(_ upload: BlobSpool.Upload, at key: String) async throws {
        let tag = upload.parts.count == 1 ? try await putWhole(upload, key) : try await putParts(upload, key)
        let object = try await head(key)
        guard object.sizeBytes == upload.sizeBytes, tag == nil || object.entityTag == tag else {
            throw S3Failure.lied("an object other than the one stored")
        }
    }

    private func putWhole(_ upload: BlobSpool.Upload, _ key: String) async throws -> String? {
        let answer = try await answer(upload.call("PUT", key, part: upload.parts[0]))
        return try answer.entityTag()
    }

    /// Sends an upload part by part, some at once.
    private func putParts(_ upload: BlobSpool.Upload, _ key: String) async throws -> String? {
        var call = S3Call("POST", key, query: [("uploads", "")])
        call.headers.append(("content-type", BlobSpool.contentType))
        let started = try await answer(call).element("InitiateMultipartUploadResult")
        guard let id = started["UploadId"], (1...1024).contains(id.utf8.count) else {
            throw S3Failure.lied("no UploadId")
        }
        do {
            let tags = try await send(upload, key, id)
            return try await complete(key, id, tags)
        } catch {
            // What this leaves, because the store is away or the task cancelled, the sweep finds.
            try? await abort(key, id)
            throw error
        }
    }

    private func send(_ upload: BlobSpool.Upload, _ key: String, _ id: String) async throws -> [String] {
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            var tags = [String](repeating: "", count: upload.parts.count)
            for (index, part) in upload.parts.enumerated() {
                if index >= limits.partsAtOnce, let (done, tag) = try await group.next() { tags[done] = tag }
                let query = [("partNumber", String(index + 1)), ("uploadId", id)]
                let call = upload.call("PUT", key, query: query, part: part)
                group.addTask { (index, try await self.answer(call).entityTag()) }
            }
            for try await (done, tag) in group { tags[done] = tag }
            return tags
        }
    }

    /// Joins the parts. Nil when the bucket did so at an attempt whose answer was lost.
    private func complete(_ key: String, _ id: String, _ tags: [String]) async throws -> String? {
        let parts = tags.enumerated().map { index, tag in
            "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(Self.escaped(tag))</ETag></Part>"
        }
        let body =
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(parts.joined())"
            + "</CompleteMultipartUpload>"
        var call = S3Call("POST", key, query: [("uploadId", id)]).with(Array(body.utf8))
        call.timeout = limits.assemblyTimeout
        let ready = call
        do {
            return try await retrying {
                let done = try await self.answer(ready).element("CompleteMultipartUploadResult")
                return try S3Answer.entityTag(done["ETag"])
            }
        } catch S3Failure.refused(let refusal) where refusal.code == "NoSuchUpload" {
            return nil
        }
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }

    func abort(_ key: String, _ id: String) async throws {
        do {
            _ = try await answer(S3Call("DELETE", key, query: [("uploadId", id)]))
        } catch S3Failure.refused(let refusal) where refusal.status == 404 {}
    }

    /// Gives an object another key. Can be repeated: succeeds when it was moved before.
    func move(_ source: String, to target: String) async throws {
        let object: S3Object
        do {
            object = try await head(source)
        } catch let failure as S3Failure where failure.isNotFound {
            _ = try await head(target)
            return
        }
        var call = S3Call("PUT", target)
        let from = PercentEncoding.encode("/\(location.bucket)/\(source)", keepingSlashes: true)
        call.headers += [("x-amz-copy-source", from), ("x-amz-copy-source-if-match", object.entityTag)]
        call.timeout = limits.assemblyTimeout
        let ready = call
        try await retrying { _ = try await self.answer(ready).element("CopyObjectResult") }
        guard try await head(target).sizeBytes == object.sizeBytes else {
            throw S3Failure.lied("a copy of another size")
        }
        try await delete(source)
    }
}
