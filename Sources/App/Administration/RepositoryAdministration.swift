package import ATProtocol
import Base
import Foundation
import Publishing

/// The operator's commands over repositories.
package struct RepositoryAdministration: Sendable {
    private let administration: Administration
    private let report: ProgressReport

    package init(_ administration: Administration, report: @escaping ProgressReport) {
        self.administration = administration
        self.report = report
    }

    /// Writes the archive of a hosted repository to a file, which appears once it is whole.
    ///
    /// - Parameter output: the file; nil names it after the handle.
    package func export(_ name: String, to output: String?) async throws -> CommandOutput {
        let account = try await administration.account(name)
        let did = Administration.text(account, "did")
        let path = output ?? Administration.text(account, "handle") + ".car"
        let draft = path + ".part"
        guard FileManager.default.createFile(atPath: draft, contents: nil),
            let file = FileHandle(forWritingAtPath: draft)
        else { throw AdministrationError.file(path: path, reason: "can't be written") }
        var count = 0
        do {
            try await administration.client.download("com.atproto.sync.getRepo", [("did", did)]) { piece in
                try file.write(contentsOf: piece)
                count += piece.count
                report(WorkProgress("exporting", done: count, unit: .bytes))
            }
            try file.synchronize()
            try file.close()
        } catch {
            unlink(draft)
            throw error
        }
        guard rename(draft, path) == 0 else {
            throw AdministrationError.file(path: path, reason: String(cString: strerror(errno)))
        }
        return CommandOutput(
            ["did": .string(did), "file": .string(path), "bytes": .integer(Int64(count))],
            text: "wrote \(path), \(ByteCount(count))")
    }

    /// Replaces a hosted repository by an archive, signed anew.
    package func importArchive(_ name: String, file: String) async throws -> CommandOutput {
        let did = Administration.text(try await administration.account(name), "did")
        let outcome = try await administration.client.upload(
            "social.kith.admin.importRepository", [("did", did)], file: file, type: "application/vnd.ipld.car"
        ) { done, total in
            report(
                done < total
                    ? WorkProgress("sending", done: done, total: total, unit: .bytes)
                    : .waiting("checking and taking up the archive"))
        }
        let rows = [
            ["did", did], ["records", "\(outcome["records"]?.integerValue ?? 0)"],
            ["rev", Administration.text(outcome, "rev")], ["root", Administration.text(outcome, "data")],
        ]
        return CommandOutput(outcome, text: TextTable(nil, rows).text)
    }

    /// Checks a hosted repository twice: what is stored, by the server, and what it hands out, here.
    ///
    /// - Throws: `RepositoryError` for the first fault of the archive; `AdministrationError.unsound`.
    package func verify(_ name: String) async throws -> CommandOutput {
        let did = try DID(parsing: Administration.text(try await administration.account(name), "did"))
        report(.waiting("checking what is stored"))
        let stored = try await administration.client.query(
            "social.kith.admin.verifyRepository", [("did", did.string)])
        guard stored["sound"]?.booleanValue == true else {
            throw AdministrationError.unsound(CommandOutput(stored, text: Self.lines(stored)))
        }
        let check = try ArchiveCheck(report: report)
        defer { check.remove() }
        try await administration.client.download("com.atproto.sync.getRepo", [("did", did.string)]) {
            try check.append($0)
        }
        return try check.verify(did: did, key: try await signingKey(of: did)).output
    }

    /// Makes the tree of a hosted repository anew from its records where it isn't what they give.
    package func rebuild(_ name: String, scope: RebuildScope) async throws -> CommandOutput {
        let did = Administration.text(try await administration.account(name), "did")
        report(.waiting("checking what is stored"))
        let found = try await administration.client.query("social.kith.admin.verifyRepository", [("did", did)])
        let isSound = found["sound"]?.booleanValue == true
        if isSound, scope != .always { return CommandOutput(found, text: Self.lines(found) + "\n\nnothing to mend") }
        if scope == .never {
            throw AdministrationError.unsound(CommandOutput(found, text: Self.lines(found)))
        }
        report(.waiting("laying the tree anew"))
        let outcome = try await administration.client.call(
            "social.kith.admin.rebuildRepository", ["did": .string(did)])
        let leftOut = (outcome["leftOut"]?.arrayValue ?? []).compactMap(\.stringValue)
        var rows = [["did", did], ["rev", Administration.text(outcome, "rev")]]
        rows.append(["root", Administration.text(outcome, "data")])
        rows += leftOut.map { ["left out", $0] }
        return CommandOutput(outcome, text: Self.lines(found) + "\n\nmade anew:\n" + TextTable(nil, rows).text)
    }

    /// Which repositories are made anew.
    package enum RebuildScope: Sendable, Hashable {
        /// None: only looks.
        case never
        /// Damaged ones.
        case damaged
        /// This one, whatever its state.
        case always
    }

    /// The key that the DID's document names for its repository.
    package func signingKey(of did: DID) async throws -> PublicKey? {
        let answer = try await administration.client.query("com.atproto.identity.resolveDid", [("did", did.string)])
        return try answer["didDoc"].map { try DIDDocument($0) }?.signingKey
    }

    private static func lines(_ report: DataValue) -> String {
        let damaged = (report["damagedRecords"]?.arrayValue ?? []).compactMap(\.stringValue)
        let missing = report["missingNodes"]?.integerValue ?? 0
        let isSame = report["storedData"] == report["computedData"]
        let rows = [
            ["did", Administration.text(report, "did")], ["records", "\(report["records"]?.integerValue ?? 0)"],
            ["root", isSame ? "as the records give it" : "not what the records give"],
            ["nodes", missing == 0 ? "all there" : "\(missing) missing or damaged"],
            ["records' hashes", damaged.isEmpty ? "all right" : damaged.joined(separator: " ")],
            ["signature", report["signed"]?.booleanValue == true ? "the account's" : "not the account's"],
        ]
        return TextTable(nil, rows).text
    }
}

/// A number of bytes for people.
struct ByteCount: CustomStringConvertible {
    let count: Int

    init(_ count: Int) {
        self.count = count
    }

    var description: String {
        let units = ["bytes", "kB", "MB", "GB", "TB"]
        var value = Double(count)
        var unit = 0
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        guard unit > 0 else { return "\(count) bytes" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
