package import ATProtocol
package import Base
import Storage

/// Somebody's wish to become a member.
package struct JoinRequest: Sendable, Hashable {
    /// Where it stands; raw values are stored, and the wire's.
    package enum Status: String, Sendable, Hashable {
        case pending
        case approved
        case rejected
    }

    package var id: String
    package var community: DID
    package var did: DID
    package var status: Status
    package var createdAt: Timestamp
    package var resolvedAt: Timestamp?
    package var kind: String?
    package var tags: [String]
    package var attributes: DataValue?
}

/// The SQL of requests to join: one for each person and community.
enum JoinRequestStore {
    private static let columns = "id, community, did, status, created_at, resolved_at, kind, tags, attributes"

    /// Puts a request in the place of an earlier one that was answered.
    static func replace(_ request: JoinRequest, in scope: any WriteScope) throws {
        try remove(request.did, of: request.community, in: scope)
        try scope.execute(
            """
            INSERT INTO community_join_request (community, id, did, status, created_at, kind, tags, attributes)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            [
                .text(request.community.string), .text(request.id), .text(request.did.string),
                .text(request.status.rawValue), .integer(request.createdAt.microseconds),
                .text(optional: request.kind),
                .blob(
                    optional: request.tags.isEmpty
                        ? nil : DataValue.array(request.tags.map(DataValue.string)).cbor()),
                .blob(optional: request.attributes?.cbor()),
            ])
    }

    static func request(_ id: String, in scope: any ReadScope) throws -> JoinRequest? {
        try scope.first("SELECT \(columns) FROM community_join_request WHERE id = $1", [.text(id)]).map(request)
    }

    static func request(of did: DID, in community: DID, _ scope: any ReadScope) throws -> JoinRequest? {
        try scope.first(
            "SELECT \(columns) FROM community_join_request WHERE did = $1 AND community = $2",
            [.text(did.string), .text(community.string)]
        ).map(request)
    }

    /// Somebody's requests, the newest first.
    static func requests(
        of did: DID, before: String?, limit: Int, in scope: any ReadScope
    ) throws -> [JoinRequest] {
        var parameters: [SQLValue] = [.text(did.string), .integer(limit)]
        if let before { parameters.append(.text(before)) }
        return try scope.query(
            """
            SELECT \(columns) FROM community_join_request WHERE did = $1 \(before == nil ? "" : "AND id < $3")
            ORDER BY id DESC LIMIT $2
            """, parameters
        ).map(request)
    }

    /// Those who wait, the oldest first.
    static func pending(of community: DID, limit: Int, offset: Int, in scope: any ReadScope) throws -> [JoinRequest] {
        try scope.query(
            """
            SELECT \(columns) FROM community_join_request WHERE community = $1 AND status = 'pending'
            ORDER BY id LIMIT $2 OFFSET $3
            """, [.text(community.string), .integer(limit), .integer(offset)]
        ).map(request)
    }

    static func pendingCount(of community: DID, in scope: any ReadScope) throws -> Int64 {
        try scope.first(
            "SELECT COUNT(*) FROM community_join_request WHERE community = $1 AND status = 'pending'",
            [.text(community.string)])?.integer(0) ?? 0
    }

    static func resolve(
        _ request: JoinRequest, as status: JoinRequest.Status, by resolver: String?, at moment: Timestamp,
        in scope: any WriteScope
    ) throws {
        try scope.execute(
            """
            UPDATE community_join_request SET status = $3, resolved_at = $4, resolved_by = $5
            WHERE community = $1 AND id = $2
            """,
            [
                .text(request.community.string), .text(request.id), .text(status.rawValue),
                .integer(moment.microseconds), .text(optional: resolver),
            ])
    }

    static func remove(_ did: DID, of community: DID, in scope: any WriteScope) throws {
        try scope.execute(
            "DELETE FROM community_join_request WHERE did = $1 AND community = $2",
            [.text(did.string), .text(community.string)])
    }

    static func removeAll(of community: DID, in scope: any WriteScope) throws {
        try scope.execute("DELETE FROM community_join_request WHERE community = $1", [.text(community.string)])
    }

    private static func request(_ row: Row) throws -> JoinRequest {
        JoinRequest(
            id: try row.text(0), community: try DID(parsing: row.text(1)), did: try DID(parsing: row.text(2)),
            status: JoinRequest.Status(rawValue: try row.text(3)) ?? .rejected,
            createdAt: Timestamp(microseconds: try row.integer(4)),
            resolvedAt: try row.optionalInteger(5).map { Timestamp(microseconds: $0) },
            kind: try row.optionalText(6),
            tags: try row.optionalBlob(7).map { try DataValue(cbor: $0).arrayValue?.compactMap(\.stringValue) ?? [] }
                ?? [],
            attributes: try row.optionalBlob(8).map { try DataValue(cbor: $0) })
    }
}
