import ATProtocol
import Base
import TestDatabases
import Testing

@testable import App
@testable import Storage

/// What the schema promises to those who grow: tables that can be spread by repository or account, and no hot path that
/// reads a whole table. Told on the engine that was chosen for the run.
struct SchemaTests {
    /// What the keys of tables that grow with their owners begin with.
    private static let owners: Set<String> = ["repository", "tree", "did", "owner", "community"]

    /// Tables whose key begins otherwise, and why that is right.
    private static let exempt: [String: String] = [
        "storage_meta": "of the instance: a handful of rows",
        "storage_migration": "of the instance: a row for each step of the schema",
        "storage_sequence": "of the instance: the counters that give one order to all",
        "log_event": "of the instance: one order over all repositories is what it is for; kept for days only",
        "log_follower": "of the instance: a row for each follower",
        "log_removed": "of the instance: one row",
        "job": "of the instance: work is claimed by kind and time, whoever it is for; done work goes",
        "invite": "of the instance: found by its code before there is an account",
        "invite_use": "hangs on its invite",
        "account_count": "of the instance: a row for each status",
        "community_count": "of the instance: two rows, one of them for communities that are listed",
        "partner_key": "of the instance: a row for each key that the operator gave",
        "partner_registration": "hangs on its partner key",
        "account_setup": "of the instance: one row",
        "session_secret": "of the instance: one row",
        "directory_reserved_key": "found by its public key before there is an account; gone within a day",
        "audit_entry": "of the instance: one order over all accounts, kept for a time",
        "blob_disposal": "a queue of bytes to remove, whose owner may be gone",
        "blob_hold": "of the instance: a row for each backup that is being made",
        "repository": "is what the others hang on: its key is the number of the repository",
    ]

    @Test func tablesThatGrowBeginWithTheirOwner() async throws {
        let test = TestInstance()
        let instance = try await test.open()
        let dialect = instance.store.database.dialect
        let tables = try await instance.store.database.read { try TableCatalog.tables(in: $0, dialect) }
        await instance.close()
        #expect(tables.count > 20)
        for table in tables {
            let first = table.columns[table.key[0]].name
            let isExempt = Self.exempt[table.name] != nil
            #expect(
                Self.owners.contains(first) != isExempt,
                "\(table.name) begins with \(first): a table that grows begins with its owner, others are listed here")
        }
        let names = Set(tables.map(\.name))
        #expect(Self.exempt.keys.filter { !names.contains($0) } == [])
    }

    /// What a day is made of: signing in, writing, reading, following.
    private static func live(_ client: TestClient) async throws {
        func call(_ nsid: String, _ json: String, _ token: String? = nil) async throws -> DataValue {
            let answer = try await client.call(
                nsid, json, headers: token.map { [("Authorization", "Bearer \($0)")] } ?? [])
            #expect(answer.status == 200, "\(nsid): \(answer.text)")
            return answer.text.isEmpty ? .null : try DataValue(json: Array(answer.text.utf8))
        }
        func get(_ path: String, _ token: String? = nil) async throws {
            let answer = try await client.get(
                "/xrpc/" + path, headers: token.map { [("Authorization", "Bearer \($0)")] } ?? [])
            #expect(answer.status == 200, "\(path): \(answer.text)")
        }
        _ = try await call(
            "com.atproto.server.createAccount",
            #"{"handle":"ada.test","email":"ada@mail.test","password":"Seven-Quiet-Rivers-7"}"#)
        let session = try await call(
            "com.atproto.server.createSession", #"{"identifier":"ada.test","password":"Seven-Quiet-Rivers-7"}"#)
        let token = try #require(session["accessJwt"]?.stringValue)
        let did = try #require(session["did"]?.stringValue)
        for key in ["one", "two", "three"] {
            let record = #"{"$type":"com.example.note","text":"\#(key)"}"#
            let place = #""repo":"\#(did)","collection":"com.example.note","rkey":"\#(key)""#
            _ = try await call("com.atproto.repo.createRecord", "{\(place),\"record\":\(record)}", token)
        }
        let place = #""repo":"\#(did)","collection":"com.example.note""#
        let changed = #"{"$type":"com.example.note","text":"again"}"#
        _ = try await call("com.atproto.repo.putRecord", "{\(place),\"rkey\":\"one\",\"record\":\(changed)}", token)
        _ = try await call("com.atproto.repo.deleteRecord", "{\(place),\"rkey\":\"two\"}", token)
        let subject = #"{"uri":"at://\#(did)/com.example.note/one","cid":"\#(CID.of(raw: []).string)"}"#
        let like = #"{"$type":"app.bsky.feed.like","subject":\#(subject),"createdAt":"2026-01-01T00:00:00.000Z"}"#
        _ = try await call(
            "com.atproto.repo.createRecord",
            #"{"repo":"\#(did)","collection":"app.bsky.feed.like","record":\#(like)}"#, token)
        for path in [
            "com.atproto.repo.getRecord?repo=\(did)&collection=com.example.note&rkey=one",
            "com.atproto.repo.listRecords?repo=\(did)&collection=com.example.note",
            "com.atproto.repo.listRecords?repo=\(did)&collection=com.example.note&cursor=three&limit=1",
            "com.atproto.repo.describeRepo?repo=\(did)", "com.atproto.sync.getRepo?did=\(did)",
            "com.atproto.sync.getLatestCommit?did=\(did)", "com.atproto.sync.getRepoStatus?did=\(did)",
            "com.atproto.sync.getRecord?did=\(did)&collection=com.example.note&rkey=one",
            "com.atproto.sync.listBlobs?did=\(did)", "com.atproto.sync.listRepos",
            "com.atproto.identity.resolveHandle?handle=ada.test",
        ] {
            try await get(path)
        }
        try await get("com.atproto.server.getSession", token)
        let refresh = try #require(session["refreshJwt"]?.stringValue)
        _ = try await client.send(
            "POST", "/xrpc/com.atproto.server.refreshSession", headers: [("Authorization", "Bearer \(refresh)")])
    }

    @Test func noHotPathReadsAWholeTable() async throws {
        // Without the worker, whose rounds over small tables fall into the run or beside it, as time goes.
        var test = TestInstance(TemporaryFolder(), ["roles": "web"])
        let log = StatementLog()
        test.database = { RecordingDatabase(base: $0, log: log) }
        let plans = try await test.serve { instance, client async throws in
            log.listen()
            try await Self.live(client)
            // From the table, as a follower reads that was away for long.
            instance.store.log.forgetRecent()
            _ = try await instance.store.log.read(after: 0, limitEvents: 100)
            let database = instance.store.database
            var plans: [(sql: String, plan: [String])] = []
            for (sql, parameters) in log.statements {
                plans.append((sql, try await Self.plan(of: sql, parameters, in: database)))
            }
            // One that has no index: that it would be found.
            let control = "SELECT path FROM record WHERE value = $1"
            let found = try await Self.plan(of: control, [.blob([])], in: database)
            #expect(!Self.scans(found, control).isEmpty)
            // One that can be answered from an index, all of it.
            let count = "SELECT COUNT(*) FROM record"
            #expect(try await !Self.scans(Self.plan(of: count, [], in: database), count).isEmpty)
            return plans
        }
        #expect(plans.count > 30, "hardly anything was issued")
        for (sql, plan) in plans {
            for line in Self.scans(plan, sql) { Issue.record("\(line)\nin the plan of\n\(sql)") }
        }
    }

    /// The lines of the engine's plan. PostgreSQL is told to read whole tables only where it has no other way.
    private static func plan(
        of sql: String, _ parameters: [SQLValue], in database: any Database
    ) async throws -> [String] {
        let isSQLite = database.dialect.engine == .sqlite
        do {
            _ = try await database.write { scope -> Void in
                if !isSQLite { try scope.execute("SET LOCAL enable_seqscan = off") }
                let rows = try scope.query((isSQLite ? "EXPLAIN QUERY PLAN " : "EXPLAIN ") + sql, parameters)
                throw Plan(lines: try rows.map { try $0.text(isSQLite ? 3 : 0) })
            }
            return []
        } catch let plan as Plan {
            return plan.lines
        }
    }

    /// Ends the transaction and carries what was found.
    private struct Plan: Error {
        let lines: [String]
    }

    /// The lines of a plan that say that all rows of a table are read, or all of an index.
    private static func scans(_ plan: [String], _ sql: String) -> [String] {
        plan.indices.filter { scans(plan[$0], plan[($0 + 1)...].prefix { !$0.contains("->") }, sql) }.map { plan[$0] }
    }

    /// - Parameter details: what PostgreSQL says of this step, a line each.
    private static func scans(_ line: String, _ details: ArraySlice<String>, _ sql: String) -> Bool {
        if line.contains("Seq Scan on ") { return true }
        // An index that is read in its order ends with the page.
        let isPage = sql.contains("LIMIT")
        if line.contains("Index Scan ") || line.contains("Index Only Scan ") {
            return !isPage && !details.contains { $0.contains("Index Cond: ") }
        }
        guard line.hasPrefix("SCAN "), !line.contains("CONSTANT ROW") else { return false }
        return !(line.contains("USING ") && isPage)
    }
}
