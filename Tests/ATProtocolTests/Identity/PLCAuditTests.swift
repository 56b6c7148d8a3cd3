import ATProtocol
import Base
import Foundation
import Testing

/// Audit logs of the public directory and of its interoperability tests (did-method-plc/did-method-plc).
@Suite struct PLCAuditTests {
    private static func logs(_ folder: String) throws -> [(name: String, audit: DataValue)] {
        guard let folder = SyntaxVectors.folder?.appending(path: "../plc/\(folder)") else { return [] }
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).map { file in
            (file.lastPathComponent, try DataValue(json: [UInt8](try Data(contentsOf: file))))
        }
    }

    private static func verify(_ audit: DataValue) throws -> PLCLog {
        let did = try #require(audit.arrayValue?.first?["did"]?.stringValue)
        return try PLCLog(verifyingAudit: audit, of: try DID(parsing: did))
    }

    @Test func validLogs() throws {
        for (name, audit) in try Self.logs("valid") {
            let log = try Self.verify(audit)
            #expect(log.auditValue == audit, "\(name) must be shown as the directory shows it")
            let active = log.entries.filter { !$0.isNullified }.map(\.operation.value)
            #expect(log.logValue == .array(active))
            #expect(log.isTombstoned == (name == "log_tombstone.json"), "\(name)")
        }
    }

    @Test func invalidLogs() throws {
        let reasons: [String: PLCError] = [
            "log_invalid_nullification_reused_key.json": .weakerKey,
            "log_invalid_nullification_too_slow.json": .lateRecovery(elapsed: PLCLog.recoveryWindow + .seconds(1)),
            "log_invalid_sig_b64_newline.json": .badSignatureEncoding,
            "log_invalid_sig_b64_padding_bits.json": .badSignatureEncoding,
            "log_invalid_sig_b64_padding_chars.json": .badSignatureEncoding,
            "log_invalid_sig_der.json": .badSignature,
            "log_invalid_sig_k256_high_s.json": .badSignature,
            "log_invalid_sig_p256_high_s.json": .badSignature,
            "log_invalid_update_nullified.json": .prevNullified,
            "log_invalid_update_tombstoned.json": .tombstoned,
        ]
        for (name, audit) in try Self.logs("invalid") {
            let reason = try #require(reasons[name], "\(name) is new")
            #expect(throws: reason, "\(name)") { try Self.verify(audit) }
        }
    }

    /// The first two operations of an identity from 2022, as the public directory shows them.
    private static let legacy = """
        [{"did":"did:plc:yk4dd2qkboz2yv6tpubpc6co","operation":{"sig":"7QTzqO1BcL3eDzP4P_YBxMmv5U4brHzAItkM9w5o8gZA7ElZ\
        krVYEwsfQCfk5EoWLk58Z1y6fyNP9x1pthJnlw","prev":null,"type":"create","handle":"dan.bsky.social","service":\
        "https://bsky.social","signingKey":"did:key:zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ","recoveryKey":\
        "did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg"},"cid":\
        "bafyreigcxay6ucqlwowfpu35alyxqtv3c4vsj7gmdtmnidsnqs6nblyarq","nullified":false,"createdAt":\
        "2022-11-17T01:07:13.996Z"},{"did":"did:plc:yk4dd2qkboz2yv6tpubpc6co","operation":{"sig":\
        "n-VWsPZY4xkFN8wlg-kJBU_yzWTNd2oBnbjkjxXu3HdjbBLaEB7K39JHIPn_DZVALKRjts6bUicjSEecZy8eIw","prev":\
        "bafyreigcxay6ucqlwowfpu35alyxqtv3c4vsj7gmdtmnidsnqs6nblyarq","type":"plc_operation","services":{"atproto_pds":\
        {"type":"AtprotoPersonalDataServer","endpoint":"https://bsky.social"}},"alsoKnownAs":["at://dholms.xyz"],\
        "rotationKeys":["did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg",\
        "did:key:zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ"],"verificationMethods":{"atproto":\
        "did:key:zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ"}},"cid":\
        "bafyreiho5sanautvnw3det66jcwic4vkeabc35y7iou3ygwj2l3xqcxdau","nullified":false,"createdAt":\
        "2023-03-06T18:47:09.501Z"}]
        """

    @Test func aRealLogInTheOldForm() throws {
        let audit = try DataValue(json: Array(Self.legacy.utf8))
        let log = try Self.verify(audit)
        #expect(log.auditValue == audit)
        let first = try #require(log.entries.first?.operation)
        #expect(first.genesisDID == log.did)
        #expect(
            first.state
                == PLCState(
                    rotationKeys: [
                        "did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg",
                        "did:key:zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ",
                    ],
                    verificationMethods: ["atproto": "did:key:zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ"],
                    alsoKnownAs: ["at://dan.bsky.social"],
                    services: [
                        "atproto_pds": PLCService(type: "AtprotoPersonalDataServer", endpoint: "https://bsky.social")
                    ]))
        #expect(throws: PLCError.notAccepted("operations of the type \"create\" are no longer accepted")) {
            try PLCSubmission.check(first)
        }
    }

    /// First operations with signatures that other libraries let pass: trailing bits, DER of 64 bytes, high-S.
    @Test(arguments: [
        (
            "yRcZOnrdCdTMIWVbM-HX8ByF0Rk1SOkivl3A3YbmzT4saxyk_nERJSJ-CqKlNP4CmMdVL5Cvc1vSM_Fe5HBbmR",
            "did:key:zDnaefqvvRQsME5c7LvxdghHeARNWEFbg2PfrAYiHhKVf9rH9", "at://weird_sig_padding",
            "did:plc:3hhmazwcb2hbcjn3thxamwrk", PLCError.badSignatureEncoding
        ),
        (
            "cDdgXcFwiJFhTzUyEhmvG4uCqy_UEqTXiWN29O3CiMXtfPnNo7Mg_BsK1iv4VBt010RwJg5mnDOK20T6m8ltDw",
            "did:key:zQ3shTBEaSruX6DJNAH3W9Weu95PYwrdQvmrHCSW9bLLZXrnw", "at://high_s_k256",
            "did:plc:t63fj6hb7mahe7qcvgbqhdnk", PLCError.badSignature
        ),
    ])
    func signaturesThatOthersLetPass(
        signature: String, key: String, name: String, did: String, reason: PLCError
    ) throws {
        let state = PLCState(rotationKeys: [key], verificationMethods: [:], alsoKnownAs: [name], services: [:])
        let operation = PLCOperation(.update(state, prev: nil), signature: signature)
        #expect(operation.genesisDID.string == did, "the bytes are right, only the signature isn't")
        var log = PLCLog(did: operation.genesisDID)
        #expect(throws: reason) { try log.apply(operation, at: PLCSamples.start) }
    }

    @Test func claimsOfALogAreChecked() throws {
        let samples = PLCSamples(seed: 1)
        var (log, genesis) = try samples.log()
        try log.apply(
            samples.update("a.example.com", after: genesis, by: 1), at: PLCSamples.start + .seconds(1))
        try log.apply(
            samples.update("b.example.com", after: genesis, by: 0), at: PLCSamples.start + .seconds(2))
        func verify(_ index: Int, _ key: String, _ value: DataValue?) throws -> PLCLog {
            var list = try #require(log.auditValue.arrayValue)
            var entry = try #require(list[index].mapValue)
            entry[key] = value
            list[index] = .map(entry)
            return try PLCLog(verifyingAudit: .array(list), of: log.did)
        }
        #expect(try verify(0, "extra", 1) == log)
        #expect(throws: PLCError.nullifiedMismatch(log.entries[1].operation.cid)) { try verify(1, "nullified", false) }
        #expect(throws: PLCError.nullifiedMismatch(log.entries[0].operation.cid)) { try verify(0, "nullified", true) }
        let other = log.entries[0].operation.cid.string
        #expect(throws: PLCError.cidMismatch(claimed: other)) { try verify(2, "cid", .string(other)) }
        #expect(throws: PLCError.timeNotIncreasing) { try verify(2, "createdAt", "2000-01-01T00:00:00.000Z") }
        for key in ["did", "operation", "cid", "nullified", "createdAt"] {
            #expect(throws: PLCError.malformed(key)) { try verify(1, key, nil) }
        }
        #expect(throws: PLCError.malformed("did")) { try verify(1, "did", "did:plc:t63fj6hb7mahe7qcvgbqhdnk") }
        #expect(throws: PLCError.badLength(0)) { try PLCLog(verifyingAudit: [], of: log.did) }
        #expect(throws: PLCError.malformed("not a list")) { try PLCLog(verifyingAudit: ["a": 1], of: log.did) }
        // A plain log has no undone operations: with one in it, the next does not follow.
        let all = DataValue.array(log.entries.map(\.operation.value))
        #expect(throws: PLCError.prevNullified) { try PLCLog(verifyingLog: all, of: log.did) }
    }

    @Test func shownAsTheDirectoryShowsIt() throws {
        let log = try Self.verify(try DataValue(json: Array(Self.legacy.utf8)))
        let entry = try #require(log.head)
        let key = "zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ"
        #expect(
            log.document?.value == [
                "@context": [
                    "https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1",
                    "https://w3id.org/security/suites/secp256k1-2019/v1",
                ],
                "id": "did:plc:yk4dd2qkboz2yv6tpubpc6co",
                "alsoKnownAs": ["at://dholms.xyz"],
                "verificationMethod": [
                    [
                        "id": "did:plc:yk4dd2qkboz2yv6tpubpc6co#atproto", "type": "Multikey",
                        "controller": "did:plc:yk4dd2qkboz2yv6tpubpc6co", "publicKeyMultibase": .string(key),
                    ]
                ],
                "service": [
                    [
                        "id": "#atproto_pds", "type": "AtprotoPersonalDataServer",
                        "serviceEndpoint": "https://bsky.social",
                    ]
                ],
            ])
        #expect(
            log.dataValue == [
                "did": "did:plc:yk4dd2qkboz2yv6tpubpc6co",
                "verificationMethods": ["atproto": .string("did:key:" + key)],
                "rotationKeys": [
                    "did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg", .string("did:key:" + key),
                ],
                "alsoKnownAs": ["at://dholms.xyz"],
                "services": [
                    "atproto_pds": ["type": "AtprotoPersonalDataServer", "endpoint": "https://bsky.social"]
                ],
            ])
        #expect(
            entry.sequencedValue(did: log.did, seq: 7) == [
                "type": "sequenced_op", "seq": 7, "did": "did:plc:yk4dd2qkboz2yv6tpubpc6co",
                "operation": entry.operation.value, "createdAt": "2023-03-06T18:47:09.501Z",
                "cid": "bafyreiho5sanautvnw3det66jcwic4vkeabc35y7iou3ygwj2l3xqcxdau",
            ])
    }
}
