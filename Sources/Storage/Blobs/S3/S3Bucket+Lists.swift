import ATProtocol
import Base

/// A key found by listing.
struct S3Listed: Sendable, Hashable {
    let key: String
    let sizeBytes: Int64
    let modified: Timestamp
}

/// An upload in parts that has not ended.
struct S3OpenUpload: Sendable, Hashable {
    let key: String
    let id: String
    let started: Timestamp
}

extension S3Bucket {
    /// The most keys in one page, by S3's rules.
    private static let pageMax = 1000

    /// Hands out the objects below `prefix` behind `after`, in order, page by page, until `body` returns false.
    /// - Throws: `S3Failure.lied` for a list that doesn't come forward.
    func list(
        _ prefix: String, after: String?, pageSize: Int, _ body: ([S3Listed]) async throws -> Bool
    ) async throws {
        var last = after ?? ""
        var token: String?
        for _ in 0..<limits.pagesMax {
            var query: [S3Signature.Pair] = [
                ("list-type", "2"), ("prefix", prefix), ("max-keys", String(min(max(pageSize, 1), Self.pageMax))),
            ]
            if let token {
                query.append(("continuation-token", token))
            } else if let after {
                query.append(("start-after", after))
            }
            let page = try await page(query, prefix)
            for object in page.objects {
                guard object.key > last else { throw S3Failure.lied("a list out of order") }
                last = object.key
            }
            guard try await body(page.objects), let next = page.next else { return }
            guard next != token else { throw S3Failure.lied("a list that goes in circles") }
            token = next
        }
        throw S3Failure.lied("a list without end")
    }

    private func page(
        _ query: [S3Signature.Pair], _ prefix: String
    ) async throws -> (objects: [S3Listed], next: String?) {
        let call = S3Call("GET", nil, query: query)
        return try await retrying {
            let result = try await self.answer(call).element("ListBucketResult")
            var objects: [S3Listed] = []
            for element in result.children where element.name == "Contents" {
                guard let key = element["Key"], key.hasPrefix(prefix), let modified = element["LastModified"],
                    let moment = (try? Datetime(parsing: modified))?.timestamp
                else { throw S3Failure.broken("a list with a strange entry") }
                objects.append(
                    S3Listed(key: key, sizeBytes: try S3Answer.length(element["Size"]), modified: moment))
            }
            return (objects, try Self.next(result, "NextContinuationToken"))
        }
    }

    /// Uploads in parts below `prefix` that have not ended, page by page.
    func openUploads(_ prefix: String, _ body: ([S3OpenUpload]) async throws -> Void) async throws {
        var markers: [S3Signature.Pair] = []
        for _ in 0..<limits.pagesMax {
            let call = S3Call("GET", nil, query: [("uploads", ""), ("prefix", prefix)] + markers)
            let result = try await retrying {
                try await self.answer(call).element("ListMultipartUploadsResult")
            }
            var uploads: [S3OpenUpload] = []
            for element in result.children where element.name == "Upload" {
                guard let key = element["Key"], key.hasPrefix(prefix), let id = element["UploadId"],
                    let text = element["Initiated"], let started = (try? Datetime(parsing: text))?.timestamp
                else { throw S3Failure.lied("a list of uploads with a strange entry") }
                uploads.append(S3OpenUpload(key: key, id: id, started: started))
            }
            try await body(uploads)
            guard let key = try Self.next(result, "NextKeyMarker") else { return }
            let next = [("key-marker", key), ("upload-id-marker", result["NextUploadIdMarker"] ?? "")]
            guard next.map(\.1) != markers.map(\.value) else { throw S3Failure.lied("a list that goes in circles") }
            markers = next.map { (name: $0.0, value: $0.1) }
        }
        throw S3Failure.lied("a list without end")
    }

    /// Where the next page begins; nil at the last one.
    private static func next(_ result: XMLElement, _ name: String) throws(S3Failure) -> String? {
        guard result["IsTruncated"] == "true" else { return nil }
        guard let next = result[name], (1...4096).contains(next.utf8.count) else {
            throw .broken("a list without its next page")
        }
        return next
    }
}
