import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// An identity from elsewhere moves in: created deactivated, unannounced, activated once its document names this server.
struct MovingInTests {
    /// Somebody with an account on another server and an identity in the public directory.
    private struct Mover {
        let key = PrivateKey.generate(.k256, using: SeededRandomness(seed: 21))
        let did: DID
        let home: Home

        init(_ home: Home, did: String = "did:plc:mmmmmmmmmmmmmmmmmmmmmmmm") throws {
            self.did = try DID(parsing: did)
            self.home = home
            publish(pds: "https://old.example.org", key: key.publicKey, rotation: [key.publicKey.didKey])
        }

        func publish(pds: String, key: PublicKey, rotation: [String]) {
            let state = PLCState(
                rotationKeys: rotation, verificationMethods: [.atproto: key.didKey], alsoKnownAs: ["at://mover.test"],
                services: [.atprotoPDS: PLCService(type: PLCService.pdsType, endpoint: pds)])
            let text = String(decoding: DIDDocument(did: did, state: state).value.json(), as: UTF8.self)
            home.world.page("https://plc.directory/\(did.string)", text)
            let data: DataValue = [
                "did": .string(did.string), "rotationKeys": .array(rotation.map { .string($0) }),
                "alsoKnownAs": ["at://mover.test"], "verificationMethods": .map(state.verificationMethodMap),
                "services": .map(state.serviceMap),
            ]
            home.world.page("https://plc.directory/\(did.string)/data", String(decoding: data.json(), as: UTF8.self))
        }

        func token(_ changes: DataMap = [:], key other: PrivateKey? = nil) -> String {
            let now = home.clock.now().seconds
            var claims: DataMap = [
                "iss": .string(did.string), "aud": "did:web:localhost%3A8080", "exp": .integer(now + 60),
                "lxm": "com.atproto.server.createAccount", "iat": .integer(now), "jti": "x",
            ]
            for (key, value) in changes { claims[key] = value }
            let signed =
                Base64URL.encode(DataValue.map(["typ": "JWT", "alg": "ES256K"]).json()) + "."
                + Base64URL.encode(DataValue.map(claims).json())
            return signed + "." + Base64URL.encode((other ?? key).sign(Array(signed.utf8)))
        }

        func create(token: String?, handle: String = "mover.test") async throws -> Answer {
            try await home.post(
                "com.atproto.server.createAccount",
                [
                    "handle": .string(handle), "did": .string(did.string), "email": "mover@mail.test",
                    "password": .string(Home.password),
                ], token: token)
        }
    }

    @Test func theWholeMove() async throws {
        let home = try await Home()
        let mover = try Mover(home)
        let made = try await mover.create(token: mover.token())
        #expect(made.status == 200, "\(made.text)")
        #expect(made.json["did"]?.stringValue == mover.did.string)
        let token = try #require(made.json["accessJwt"]?.stringValue)
        #expect(try await home.get("com.atproto.server.getSession", token: token).json["status"] == "deactivated")
        #expect(try await home.events().isEmpty)
        #expect(try await home.repositories.head(of: mover.did) != nil)
        let again = try await mover.create(token: mover.token())
        #expect(again.status == 400 && again.error == "AlreadyExists")

        func progress() async throws -> DataValue {
            try await home.get("com.atproto.server.checkAccountStatus", token: token).json
        }
        #expect(try await progress()["activated"] == false)
        #expect(try await progress()["validDid"] == false)
        let activate = "com.atproto.server.activateAccount"
        let early = try await home.post(activate, token: token)
        #expect(early.status == 400 && early.error == "IncompatibleDidDoc", "\(early.text)")
        let signer = try await home.foundation.keys.signer(for: mover.did).publicKey
        let rotation = home.foundation.keys.rotationKey.publicKey.didKey
        mover.publish(pds: "http://localhost:8080", key: mover.key.publicKey, rotation: [rotation])
        #expect(try await home.post(activate, token: token).error == "IncompatibleDidDoc", "not our key")
        mover.publish(pds: "http://localhost:8080", key: signer, rotation: [mover.key.publicKey.didKey])
        #expect(try await home.post(activate, token: token).error == "IncompatibleDidDoc", "not our rotation key")
        mover.publish(pds: "http://localhost:8080", key: signer, rotation: [mover.key.publicKey.didKey, rotation])
        #expect(try await progress()["validDid"] == true)
        let done = try await home.post(activate, token: token)
        #expect(done.status == 200, "\(done.text)")
        let head = try #require(try await home.repositories.head(of: mover.did))
        #expect(
            try await progress() == [
                "activated": true, "validDid": true, "repoCommit": .string(head.commit.string),
                "repoRev": .string(head.rev.string), "repoBlocks": 7, "indexedRecords": 3, "privateStateValues": 0,
                "expectedBlobs": 2, "importedBlobs": 1,
            ])
        #expect(try await home.events().map(\.kind) == [.account, .identity, .sync])
        #expect(try await home.accounts.account("mover").deleteAfter == nil)
        await home.discard()
    }

    @Test func onlyWithProof() async throws {
        let home = try await Home()
        let mover = try Mover(home)
        let other = PrivateKey.generate(.k256, using: SeededRandomness(seed: 99))
        for (name, token, error) in [
            ("none", nil, "AuthMissing"), ("garbage", "a.b.c", "BadJwt"),
            ("another key", mover.token(key: other), "BadJwtSignature"),
            ("another's name", mover.token(["iss": "did:plc:nnnnnnnnnnnnnnnnnnnnnnnn"]), "BadJwtIss"),
            ("another audience", mover.token(["aud": "did:web:elsewhere.example.org"]), "BadJwtAudience"),
            ("another method", mover.token(["lxm": "com.atproto.repo.uploadBlob"]), "BadJwtLexiconMethod"),
            ("no method", mover.token(["lxm": .null]), "BadJwtLexiconMethod"),
            ("expired", mover.token(["exp": 1000]), "JwtExpired"),
            ("for years", mover.token(["exp": 9_000_000_000]), "BadJwt"),
            ("no expiry", mover.token(["exp": .null]), "BadJwt"),
        ] as [(String, String?, String)] {
            let answer = try await mover.create(token: token)
            #expect(answer.status == 401 && answer.error == error, "\(name): \(answer.text)")
        }
        #expect(
            try await mover.create(token: mover.token(["aud": "did:web:localhost%3A8080#atproto_pds"])).status == 200)
        await home.discard()
    }

    @Test func aKeyThatRotatedIsFetchedAgain() async throws {
        let home = try await Home()
        let mover = try Mover(home)
        _ = try await home.identities.document(of: mover.did)
        let next = PrivateKey.generate(.k256, using: SeededRandomness(seed: 33))
        mover.publish(pds: "https://old.example.org", key: next.publicKey, rotation: [mover.key.publicKey.didKey])
        #expect(try await mover.create(token: mover.token(key: next)).status == 200)
        await home.discard()
    }

    @Test func handlesOfMovers() async throws {
        let home = try await Home()
        let mover = try Mover(home)
        let foreign = try await mover.create(token: mover.token(), handle: "mover.example.org")
        #expect(foreign.status == 400 && foreign.error == "InvalidHandle", "\(foreign.text)")
        home.world.records(of: "_atproto.mover.example.org", ["did=\(mover.did.string)"])
        #expect(try await mover.create(token: mover.token(), handle: "mover.example.org").status == 200)
        await home.discard()
    }

    @Test func aReservedKeyIsUsed() async throws {
        let home = try await Home()
        let mover = try Mover(home)
        let reserve = "com.atproto.server.reserveSigningKey"
        let one = try await home.post(reserve, ["did": .string(mover.did.string)])
        let two = try await home.post(reserve, ["did": .string(mover.did.string)])
        #expect(one.status == 200 && one.json == two.json)
        #expect(try await home.post(reserve, [:]).json != one.json)
        #expect(try await mover.create(token: mover.token()).status == 200)
        let signer = try await home.foundation.keys.signer(for: mover.did).publicKey
        #expect(signer.didKey == one.json["signingKey"]?.stringValue)
        let left = try await home.database.read { try KeyStore.reservedCount(in: $0) }
        #expect(left == 1)
        await home.discard()
    }

    @Test func reservationsAreBoundedAndExpire() async throws {
        let home = try await Home { $0.limits.reservedKeysMax = 3 }
        let reserve = "com.atproto.server.reserveSigningKey"
        for _ in 0..<3 { #expect(try await home.post(reserve, [:]).status == 200) }
        #expect(try await home.post(reserve, [:]).status == 503)
        home.clock.advance(by: KeyCustody.reservationAgeMax)
        #expect(try await home.post(reserve, [:]).status == 200)
        await home.discard()
    }

    @Test func hostsMoveIn() async throws {
        let home = try await Home()
        let did = "did:web:mover.example.org"
        let mover = try Mover(home, did: did)
        let state = PLCState(
            rotationKeys: [], verificationMethods: [.atproto: mover.key.publicKey.didKey], alsoKnownAs: [],
            services: [:])
        let document = DIDDocument(did: try DID(parsing: did), state: state)
        home.world.page(
            "https://mover.example.org/.well-known/did.json", String(decoding: document.value.json(), as: UTF8.self))
        #expect(try await mover.create(token: mover.token()).status == 200)
        let token = try await home.sessions.signIn(.init(identifier: did, password: Home.password), origin: "")
        let update = try await home.post(
            "com.atproto.identity.updateHandle", ["handle": "hosty.test"], token: token.accessToken)
        #expect(update.status == 200, "the document is its owner's to change: \(update.text)")
        await home.discard()
    }

    @Test func othersKindsOfIdentitiesDoNot() async throws {
        let home = try await Home()
        let mover = try Mover(home, did: "did:key:zQ3shhYCwXSxhVzjN2KAGZ9uYwTpJ1gPPwC6rgQnZoYWDdPhA")
        #expect(try await mover.create(token: mover.token()).status == 401)
        await home.discard()
    }
}
