import Base
import Synchronization
import Testing

@testable import Identity

/// Passwords: rules, hashes, and how many are computed at once.
struct PasswordTests {
    @Test func rules() {
        for good in ["abcdefgH1x", "abcdefgh1-", "ABCDEFGH1-", "Seven Quiet Rivers 7", "пароль-длинный-A1"] {
            #expect(throws: Never.self, "\(good)") { try PasswordRules.check(good) }
        }
        #expect(throws: Never.self) { try PasswordRules.check(String(repeating: "aA1", count: 85)) }
        for bad in [
            "", "aA1-", "abcdefghij", "abcdefghij1", "ABCDEFGHIJ1", "1234567890-", String(repeating: "aA1", count: 86),
        ] {
            #expect(throws: AccountError.self, "\(bad)") { try PasswordRules.check(bad) }
        }
    }

    /// RFC 7914 section 12: N = 1024, r = 8, p = 16, "password", "NaCl".
    @Test func scryptOfTheSpecification() throws {
        let expected =
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830da"
            + "c727afb94a83ee6d8360cbdfa2cc0640"
        let digest = try #require(Hex.decode(expected))
        let stored = "$scrypt$1024$8$8$\(Base64URL.encode(Array("NaCl".utf8)))$\(Base64URL.encode(digest))"
        // p = 16 is past what is bearable here; the same with p = 16 must therefore be refused, not computed.
        #expect(PasswordHash(stored: stored.replacing("$8$8$", with: "$8$16$")) == nil)
        #expect(try PasswordHash(stored: stored)?.matches("password") == false)
        let own = try PasswordHash(of: "password", cost: PasswordCost(rounds: 16, blockSize: 1), salt: [])
        #expect(Hex.encode(own.digest).count == 64)
    }

    @Test func hashesAreReadBack() throws {
        let hash = try PasswordHash(of: "correct horse", cost: .least, salt: [1, 2, 3])
        let read = try #require(PasswordHash(stored: hash.stored))
        #expect(read == hash)
        #expect(try read.matches("correct horse"))
        #expect(try !read.matches("correct hors"))
        #expect(try !read.matches(""))
        for bad in [
            "", "x", "$scrypt$", "$bcrypt$16$1$1$AA$AA", hash.stored + "$", hash.stored.replacing("$16$", with: "$17$"),
            hash.stored.replacing("$16$", with: "$99999999999999999999$"),
            hash.stored.replacing("$16$", with: "$1073741824$"), hash.stored.replacing("$16$", with: "$-16$"),
        ] {
            #expect(PasswordHash(stored: bad) == nil, "\(bad)")
        }
    }

    @Test func everyHashHasItsOwnSalt() async throws {
        let hasher = try PasswordHasher(cost: .least, limits: IdentityLimits(), randomness: SystemRandomness())
        let (one, two) = (try await hasher.hash("the same"), try await hasher.hash("the same"))
        #expect(one != two)
        #expect(try await hasher.verify("the same", stored: one))
        #expect(try await hasher.verify("the same", stored: two))
        #expect(try await !hasher.verify("the same", stored: nil))
        #expect(try await !hasher.verify("the same", stored: "rubbish"))
    }

    @Test func tooManyAreRefusedAndAllOthersFinish() async throws {
        var limits = IdentityLimits()
        limits.hashesRunningMax = 2
        limits.hashesWaitingMax = 5
        let hasher = try PasswordHasher(
            cost: PasswordCost(rounds: 1 << 10), limits: limits, randomness: SystemRandomness())
        let (done, refused) = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<60 {
                group.addTask {
                    do {
                        _ = try await hasher.hash("password")
                        return true
                    } catch {
                        return false
                    }
                }
            }
            return await group.reduce(into: (0, 0)) { $1 ? ($0.0 += 1) : ($0.1 += 1) }
        }
        #expect(done + refused == 60 && done >= 7)
        #expect(hasher.hashCount == done)
        _ = try await hasher.hash("still at work")
    }

    @Test func addresses() {
        for good in ["a@b.co", "A.b+c@Mail.Example.org", " x@y.test ", "o'neill@x-y.test", "1@2.3de"] {
            #expect(EmailAddress(good) != nil, "\(good)")
        }
        for bad in [
            "", "x", "x@", "@x.test", "a b@x.test", "a@b@c.test", "x@y", ".a@x.test", "a.@x.test", "a..b@x.test",
            "a@-x.test",
            "a@x-.test", "a@x..test", "a@.test", "a@x.test.", "\"a\"@x.test", "a@[127.0.0.1]", "a\u{0}@x.test",
            "ä@x.test",
            "x@" + String(repeating: "y", count: 300) + ".test", String(repeating: "x", count: 65) + "@y.test",
            "a@x.te_st",
        ] {
            #expect(EmailAddress(bad) == nil, "\(bad)")
        }
        #expect(EmailAddress("A@X.test") == EmailAddress("a@x.TEST"))
    }
}
