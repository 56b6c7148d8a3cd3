import ATProtocol
import Base
import Community
import Contracts
import Synchronization
import Testing
import Web

/// Proofs that come from another server.
@Suite struct RemoteAttestationsTests {
    private let fixture: AttestationFixture
    private let identities: KnownIdentities
    private let server = AnsweringServer()
    private let clock = ManualClock(AttestationFixture.now)
    private let remote: RemoteAttestations
    private let key = AttestationFixture.recordKey(2)

    init() throws {
        var fixture = try AttestationFixture(seed: 21)
        try fixture.hold((0..<9).map { fixture.record(.open(["number": .integer(Int64($0))])) })
        self.fixture = fixture
        identities = KnownIdentities([fixture.document])
        remote = RemoteAttestations(identities: identities, client: server, clock: clock)
    }

    private func archive(_ key: RecordKey) throws -> OutboundResponse {
        OutboundResponse(status: 200, body: try fixture.proof(of: key).archive)
    }

    private func refusal(_ name: String) -> OutboundResponse {
        OutboundResponse(status: 400, body: (["error": .string(name), "message": "no"] as DataValue).json())
    }

    @Test func whatIsThereAndWhatIsNotIsProven() async throws {
        server.answer(try archive(key))
        let finding = try await remote.find(key, of: fixture.did)
        guard case .proven(let proof, let checked) = finding.outcome else {
            Issue.record("\(finding.outcome)")
            return
        }
        #expect(checked.record?.value["claim"] == ["number": 2])
        #expect(try proof.check(known: fixture.key.publicKey).grounds == .known)
        #expect(finding.server?.string == "https://kith.example")
        #expect(
            server.asked.last
                == "https://kith.example/xrpc/com.atproto.sync.getRecord?did=\(fixture.did)"
                + "&collection=net.openfederation.community.attestation&rkey=\(key)")
        let gone = AttestationFixture.recordKey(100)
        server.answer(try archive(gone))
        let absent = try await remote.find(gone, of: fixture.did)
        guard case .proven(_, let nothing) = absent.outcome else {
            Issue.record("\(absent.outcome)")
            return
        }
        #expect(nothing.record == nil)
    }

    @Test func aSilentServerIsLeftAloneForAWhile() async throws {
        #expect(try await remote.find(key, of: fixture.did).outcome == .unreachable)
        server.answer(try archive(key))
        clock.advance(by: RemoteAttestations.Limits.silenceAge - .milliseconds(1))
        #expect(try await remote.find(key, of: fixture.did).outcome == .unreachable)
        #expect(server.asked.count == 1)
        clock.advance(by: .milliseconds(1))
        guard case .proven = try await remote.find(key, of: fixture.did).outcome else {
            Issue.record("not asked again")
            return
        }
        // What is taken back is so at once.
        server.answer(refusal("RepoSuspended"))
        #expect(try await remote.find(key, of: fixture.did).outcome == .suspended)
    }

    @Test func whatIsOnlySaidIsNotBelieved() async throws {
        let key = key
        let stranger = try AttestationFixture(seed: 22)
        let answers: [(OutboundResponse, RemoteFinding.Outcome)] = [
            (refusal("RecordNotFound"), .unproven), (refusal("RepoNotFound"), .unproven),
            (refusal("RepoTakendown"), .suspended), (OutboundResponse(status: 500), .unreachable),
            (OutboundResponse(status: 200, body: Array("{}".utf8)), .unproven),
            (OutboundResponse(status: 200, body: try stranger.proof(of: key).archive), .unproven),
            (try archive(AttestationFixture.recordKey(8)), .unproven),
        ]
        for (answer, outcome) in answers {
            clock.advance(by: RemoteAttestations.Limits.silenceAge)
            server.answer(answer)
            let found = try await remote.find(key, of: fixture.did).outcome
            if case .proven(_, let proof) = found {
                // The blocks that prove one record may prove its neighbour, too; never anything false.
                #expect(proof.record?.value["claim"] == ["number": 2])
            } else {
                #expect(found == outcome)
            }
        }
    }

    @Test func aKeyThatWasChangedIsLookedUpAgain() async throws {
        let former = PrivateKey.generate(.k256, using: SeededRandomness(seed: 23))
        let state = PLCState(
            rotationKeys: [former.publicKey], signingKey: former.publicKey,
            handle: try Handle(parsing: "garden.kith.example"), pds: "https://former.example")
        identities.cache(DIDDocument(did: fixture.did, state: state))
        server.answer(try archive(key))
        let finding = try await remote.find(key, of: fixture.did)
        guard case .proven = finding.outcome else {
            Issue.record("\(finding.outcome)")
            return
        }
        #expect(finding.document == fixture.document)
    }

    @Test func whoIsNotKnownIsNotAskedFor() async throws {
        await #expect(throws: KnownIdentities.Unknown.self) {
            try await remote.find(key, of: DID(parsing: "did:web:nowhere.example"))
        }
        #expect(server.asked.isEmpty)
    }
}

/// A directory in memory, whose cache may be behind.
final class KnownIdentities: IdentityEvidence {
    struct Unknown: WireConvertible {
        let wire = WireFailure(status: 400, error: "DidNotFound", message: "unknown")
    }

    private let documents: Mutex<[DID: DIDDocument]>
    private let cached = Mutex<[DID: DIDDocument]>([:])
    private let logs = Mutex<[DID: DataValue]>([:])

    init(_ documents: [DIDDocument]) {
        self.documents = Mutex(Dictionary(documents.map { ($0.did, $0) }, uniquingKeysWith: { first, _ in first }))
    }

    func add(_ document: DIDDocument, operations: DataValue) {
        documents.withLock { $0[document.did] = document }
        logs.withLock { $0[document.did] = operations }
    }

    func cache(_ document: DIDDocument) { cached.withLock { $0[document.did] = document } }

    func document(of did: DID) async throws -> DIDDocument {
        if let document = cached.withLock({ $0[did] }) { return document }
        return try await currentDocument(of: did)
    }

    func currentDocument(of did: DID) async throws -> DIDDocument {
        guard let document = documents.withLock({ $0[did] }) else { throw Unknown() }
        return document
    }

    func operations(of did: DID) async throws -> DataValue? { logs.withLock { $0[did] } }

    func resolve(_ handle: Handle) async throws -> DID? {
        documents.withLock { $0.values.first { $0.handle == handle }?.did }
    }
}

/// The world outside, which gives one answer to all.
final class AnsweringServer: OutboundHTTP {
    private let state = Mutex<(answer: OutboundResponse?, asked: [String])>((nil, []))

    /// Nil is no answer.
    func answer(_ response: OutboundResponse?) { state.withLock { $0.answer = response } }

    var asked: [String] { state.withLock { $0.asked } }

    func send(_ request: OutboundRequest) async throws(OutboundFailure) -> OutboundResponse {
        let answer = state.withLock { state in
            state.asked.append(request.url)
            return state.answer
        }
        guard let answer else { throw .timeout }
        return answer
    }
}
