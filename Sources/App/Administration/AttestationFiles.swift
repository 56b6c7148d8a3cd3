package import ATProtocol
package import Base
import Community
import Foundation

/// Why a file that shows an attestation is not to be relied on.
package enum AttestationFileError: Error, Sendable, CustomStringConvertible {
    /// The file does not prove what it shows; why.
    case unsound(String)
    /// It was so, and is no longer.
    case ended(Ending, CommandOutput)
    /// The file holds in itself, but whether the attestation does could not be found out.
    case unconfirmed(String, CommandOutput)

    /// How an attestation ends.
    package enum Ending: String, Sendable {
        case expired, revoked, replaced, suspended
    }

    package var description: String {
        switch self {
        case .unsound(let reason): "the file proves nothing: \(reason)"
        case .ended(.expired, _): "the attestation has expired"
        case .ended(.revoked, _): "the community has taken the attestation back"
        case .ended(.replaced, _): "the community states something else now"
        case .ended(.suspended, _): "the community is suspended"
        case .unconfirmed(let reason, _):
            "the file holds in itself, but whether the attestation does is unknown: \(reason)"
        }
    }

    var report: CommandOutput? {
        switch self {
        case .unsound: nil
        case .ended(_, let report), .unconfirmed(_, let report): report
        }
    }

    var kind: (Int32, String) {
        switch self {
        case .unsound: (65, "Unsound")
        case .ended(let ending, _): (65, ending.rawValue.capitalized)
        case .unconfirmed: (69, "Unconfirmed")
        }
    }
}

/// Checks of files in which people show what a community states of them (`AttestationPresentation`).
package enum AttestationFiles {
    /// Where the key comes from, and whether anybody is asked.
    package enum Mode: Sendable, Hashable {
        /// Nobody is asked: with the community's key, or with what the file itself proves of it.
        case offline(key: PublicKey?)
        /// An instance is asked whether the attestation still holds.
        case online

        /// Offline, with a key as people write it.
        ///
        /// - Throws: an error that says what is wrong with the text.
        package init(offlineWith didKey: String) throws {
            self = .offline(key: try PublicKey(didKey: didKey))
        }
    }

    /// Verifies the file.
    ///
    /// - Parameter configuration: the instance that asks, where one is.
    /// - Throws: `AttestationFileError`; `AdministrationError`.
    package static func verify(
        _ path: String, _ mode: Mode, configuration: Configuration, clock: any WallClock = SystemClock()
    ) async throws -> CommandOutput {
        let (file, size) = try InputFile.open(path)
        guard size <= AttestationPresentation.limits.sizeBytesMax else {
            throw AttestationFileError.unsound("it is too large")
        }
        let data = try InputFile.read(file, upToCount: size, path: path)
        let known: PublicKey? = if case .offline(let key) = mode { key } else { nil }
        let presentation: AttestationPresentation
        let verified: AttestationPresentation.Verified
        do {
            presentation = try AttestationPresentation(json: Array(data))
            verified = try presentation.verify(known: known)
        } catch {
            throw AttestationFileError.unsound("\(error)")
        }
        let report = AttestationReport(verified)
        guard !verified.record.isExpired(at: clock.now()) else {
            throw AttestationFileError.ended(.expired, report.output(isValid: false))
        }
        guard mode == .online else {
            // Whoever makes up a file makes up a key for it, too.
            guard verified.grounds != .stated else {
                throw AttestationFileError.unconfirmed(
                    "only the file says whose key it is; give the key with --key, or ask online",
                    report.output(isValid: nil))
            }
            return report.output(isValid: true)
        }
        return try await ArchiveFiles.lookingUp(configuration) { client in
            try await confirm(verified, report, client)
        }
    }

    /// Asks whether the attestation still holds, and checks the proof of the answer.
    private static func confirm(
        _ verified: AttestationPresentation.Verified, _ report: AttestationReport, _ client: AdministrationClient
    ) async throws -> CommandOutput {
        let answer: DataValue
        do {
            answer = try await client.query(
                "net.openfederation.community.verifyAttestation",
                [("communityDid", verified.community.string), ("rkey", verified.key.string)])
        } catch AdministrationError.refused(_, let name, let message) {
            if name == "CommunityTakenDown" {
                throw AttestationFileError.ended(.suspended, report.output(isValid: false))
            }
            throw AttestationFileError.unconfirmed("\(message) (\(name))", report.output(isValid: nil))
        }
        let reason = answer["reason"]?.stringValue
        if reason == "suspended" { throw AttestationFileError.ended(.suspended, report.output(isValid: false)) }
        guard let value = answer["proof"], let proof = try? AttestationProof(value), proof.did == verified.community,
            proof.key == verified.key, let present = try? proof.check(known: nil).proof
        else { throw AttestationFileError.unconfirmed(reason ?? "no proof", report.output(isValid: nil)) }
        guard present.commit.rev.microseconds >= verified.committedAt.microseconds else {
            throw AttestationFileError.unconfirmed("an older state was shown", report.output(isValid: nil))
        }
        guard let record = present.record else {
            throw AttestationFileError.ended(.revoked, report.output(isValid: false))
        }
        guard record.cid == verified.cid else {
            throw AttestationFileError.ended(.replaced, report.output(isValid: false))
        }
        return report.output(isValid: true, confirmedAt: proof.checkedAt)
    }
}

/// What a file says, for programs and people.
struct AttestationReport: Sendable {
    private let verified: AttestationPresentation.Verified

    init(_ verified: AttestationPresentation.Verified) { self.verified = verified }

    /// - Parameters:
    ///   - isValid: nil when it is not known.
    ///   - confirmedAt: when an instance saw it hold.
    func output(isValid: Bool?, confirmedAt: Datetime? = nil) -> CommandOutput {
        let record = verified.record
        let committedAt = Datetime(verified.committedAt).string
        let trust = confirmedAt == nil ? verified.grounds : .known
        var map: DataMap = [
            "communityDid": .string(verified.community.string), "rkey": .string(verified.key.string),
            "cid": .string(verified.cid.string), "subjectDid": .string(record.subject.string),
            "subjectHandle": .string(record.subjectHandle), "type": .string(record.type),
            "claim": .map(verified.claim), "issuedAt": .string(record.issuedAt.string),
            "provenAt": .string(committedAt), "key": .string(trust.rawValue),
        ]
        map["valid"] = isValid.map { .boolean($0) }
        map["expiresAt"] = record.expiresAt.map { .string($0.string) }
        map["confirmedAt"] = confirmedAt.map { .string($0.string) }
        var rows = [
            ["community", verified.community.string],
            ["states of", "\(record.subjectHandle) (\(record.subject.string))"], ["type", record.type],
        ]
        for (name, value) in verified.claim {
            rows.append(["· " + name, value.stringValue ?? String(decoding: value.json(), as: UTF8.self)])
        }
        rows.append(["issued", record.issuedAt.string])
        if let end = record.expiresAt { rows.append(["expires", end.string]) }
        rows.append(["proven for", committedAt])
        if let confirmedAt { rows.append(["confirmed", confirmedAt.string]) }
        rows.append(["key", Self.told(trust)])
        let verdict =
            switch isValid {
            case true?: confirmedAt == nil ? "held when it was shown" : "holds"
            case false?: "does not hold"
            case nil: "unknown"
            }
        return CommandOutput(.map(map), text: TextTable(nil, rows + [["verdict", verdict]]).text)
    }

    private static func told(_ grounds: AttestationProof.Grounds) -> String {
        switch grounds {
        case .known: "the community's"
        case .identityLog: "tied to the community's DID by its operations"
        case .stated: "only the file says that it is the community's"
        }
    }
}
