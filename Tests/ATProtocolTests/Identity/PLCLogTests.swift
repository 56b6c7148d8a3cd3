import ATProtocol
import Base
import Testing

@Suite struct PLCLogTests {
    private let start = PLCSamples.start

    @Test func updatesFollowOneAnother() throws {
        let samples = PLCSamples(seed: 1)
        var (log, genesis) = try samples.log()
        let second = try samples.update("bob.example.com", after: genesis, by: 2)
        #expect(try log.apply(second, at: start + .seconds(1)) == [])
        #expect(log.active == [genesis, second])
        #expect(log.state?.alsoKnownAs == ["at://bob.example.com"])
        #expect(log.document?.handle?.string == "bob.example.com")
        #expect(!log.isTombstoned)
    }

    @Test func theFirstOperationMakesTheDID() throws {
        let samples = PLCSamples(seed: 2)
        let genesis = try samples.update(after: nil, by: 1)
        let other = try samples.update("bob.example.com", after: nil, by: 1)
        #expect(genesis.genesisDID.isPLC)
        var log = PLCLog(did: other.genesisDID)
        #expect(throws: PLCError.wrongDID(expected: genesis.genesisDID)) { try log.apply(genesis, at: start) }
        log = PLCLog(did: genesis.genesisDID)
        let later = try samples.update(after: other, by: 1)
        #expect(throws: PLCError.notGenesis) { try log.apply(later, at: start) }
        #expect(throws: PLCError.notGenesis) { try log.apply(samples.tombstone(after: other, by: 1), at: start) }
        let stranger = PrivateKey.generate(.k256, using: samples.random)
        let forged = try PLCChange.update(samples.state(), prev: nil).signed(by: stranger)
        #expect(throws: PLCError.badSignature) { try log.apply(forged, at: start) }
        #expect(log.entries.isEmpty)
        #expect(log.state == nil && log.document == nil && log.dataValue == nil && !log.isTombstoned)
        try log.apply(genesis, at: start)
        #expect(throws: PLCError.genesisExists) { try log.apply(other, at: start + .seconds(1)) }
        #expect(throws: PLCError.duplicate) {
            let second = try samples.update("x.example.com", after: genesis, by: 0)
            try log.apply(second, at: start + .seconds(1))
            try log.apply(second, at: start + .seconds(2))
        }
    }

    @Test func aStrongerKeyUndoesWithinThreeDays() throws {
        let samples = PLCSamples(seed: 3)
        var (log, genesis) = try samples.log()
        let weak = try samples.update("weak.example.com", after: genesis, by: 2)
        let weaker = try samples.update("weaker.example.com", after: weak, by: 2)
        try log.apply(weak, at: start + .seconds(10))
        try log.apply(weaker, at: start + .seconds(20))
        let before = log

        let equal = try samples.update("equal.example.com", after: genesis, by: 2)
        #expect(throws: PLCError.weakerKey) { try log.apply(equal, at: start + .seconds(30)) }
        let rescue = try samples.update("rescue.example.com", after: genesis, by: 1)
        let deadline = start + .seconds(10) + PLCLog.recoveryWindow
        #expect(throws: PLCError.lateRecovery(elapsed: PLCLog.recoveryWindow + .milliseconds(1))) {
            try log.apply(rescue, at: deadline + .milliseconds(1))
        }
        #expect(log == before, "a refused operation changes nothing")
        #expect(try log.apply(rescue, at: deadline) == [weak.cid, weaker.cid])
        #expect(log.entries.map(\.isNullified) == [false, true, true, false])
        #expect(log.active == [genesis, rescue])

        // What was undone is no ground to build on; what undid it can itself be undone, by a stronger key yet.
        let onUndone = try samples.update(after: weak, by: 0)
        #expect(throws: PLCError.prevNullified) { try log.apply(onUndone, at: deadline + .seconds(1)) }
        let last = try samples.update("last.example.com", after: genesis, by: 0)
        #expect(try log.apply(last, at: deadline + .seconds(2)) == [rescue.cid])
        #expect(log.active == [genesis, last])
    }

    @Test func aKeyListedTwiceIsNoStrongerThanItself() throws {
        let samples = PLCSamples(seed: 4)
        var state = samples.state()
        state.rotationKeys = [samples.keys[0].publicKey.didKey, samples.keys[0].publicKey.didKey]
        let genesis = try PLCChange.update(state, prev: nil).signed(by: samples.keys[0])
        var log = PLCLog(did: genesis.genesisDID)
        try log.apply(genesis, at: start)
        try log.apply(samples.update("a.example.com", after: genesis, by: 0), at: start + .seconds(1))
        let again = try samples.update("b.example.com", after: genesis, by: 0)
        #expect(throws: PLCError.weakerKey) { try log.apply(again, at: start + .seconds(2)) }
    }

    @Test func withoutKeysNothingFollows() throws {
        let samples = PLCSamples(seed: 5)
        var (log, genesis) = try samples.log()
        var state = samples.state()
        state.rotationKeys = []
        let locked = try PLCChange.update(state, prev: genesis.cid).signed(by: samples.keys[1])
        try log.apply(locked, at: start + .seconds(1))
        let next = try samples.update(after: locked, by: 0)
        #expect(throws: PLCError.badSignature) { try log.apply(next, at: start + .seconds(2)) }
        let rescue = try samples.update(after: genesis, by: 0)
        #expect(try log.apply(rescue, at: start + .seconds(3)) == [locked.cid])
    }

    @Test func aTombstoneEndsAndCanBeUndone() throws {
        let samples = PLCSamples(seed: 6)
        var (log, genesis) = try samples.log()
        let end = try samples.tombstone(after: genesis, by: 1)
        try log.apply(end, at: start + .seconds(1))
        #expect(log.isTombstoned)
        #expect(log.state == nil && log.document == nil && log.dataValue == nil)
        let after = try samples.update(after: end, by: 0)
        #expect(throws: PLCError.tombstoned) { try log.apply(after, at: start + .seconds(2)) }
        let rescue = try samples.update("back.example.com", after: genesis, by: 0)
        #expect(try log.apply(rescue, at: start + .seconds(3)) == [end.cid])
        #expect(!log.isTombstoned)
    }

    @Test func timeMovesOn() throws {
        let samples = PLCSamples(seed: 7)
        var (log, genesis) = try samples.log()
        let second = try samples.update(after: genesis, by: 0)
        for moment in [start, start + .microseconds(999), start + .seconds(-1)] {
            #expect(throws: PLCError.timeNotIncreasing) { try log.apply(second, at: moment) }
        }
        #expect(log.receiptTime(now: start + .seconds(-60)) == start + .milliseconds(1))
        #expect(log.receiptTime(now: start + .microseconds(5_999)) == start + .milliseconds(5))
        try log.apply(second, at: log.receiptTime(now: start + .seconds(-60)))
        #expect(log.head?.receivedAt == start + .milliseconds(1))
    }

    @Test func sizeIsBounded() throws {
        let samples = PLCSamples(seed: 8)
        var (log, genesis) = try samples.log()
        func sized(_ count: Int) throws -> PLCOperation {
            try samples.update(String(repeating: "a", count: count), after: genesis, by: 0)
        }
        let overhead = try sized(1_000).bytes.count - 1_000
        let largest = try sized(PLCOperation.sizeBytesMax - overhead)
        #expect(largest.bytes.count == PLCOperation.sizeBytesMax)
        let tooLarge = try sized(PLCOperation.sizeBytesMax - overhead + 1)
        #expect(throws: PLCError.tooLarge(sizeBytes: 7_501)) { try log.apply(tooLarge, at: start + .seconds(1)) }
        try log.apply(largest, at: start + .seconds(1))
    }

    /// A valid operation whose signature is spelt in any other way, or is another one, is refused.
    @Test(arguments: 0..<20) func onlyTheOneSpellingOfASignature(seed: UInt64) throws {
        let samples = PLCSamples(seed: seed, keyCount: 1)
        let genesis = try samples.update(after: nil, by: 0)
        let good = try #require(Base64URL.decode(genesis.signature))
        func refused(_ signature: String) throws -> PLCError? {
            let changed = PLCOperation(genesis.change, signature: signature)
            var log = PLCLog(did: changed.genesisDID)
            do throws(PLCError) { try log.apply(changed, at: start) } catch { return error }
            return nil
        }
        #expect(try refused(genesis.signature) == nil)
        let last = try #require(genesis.signature.last)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let sibling = alphabet[try #require(alphabet.firstIndex(of: last)) | 1 + samples.random.below(15)]
        for text in [
            "", genesis.signature + "=", genesis.signature + "==", genesis.signature + "\n", " " + genesis.signature,
            String(genesis.signature.dropLast()), String(genesis.signature.dropLast()) + String(sibling),
            Base64URL.encode(good + [0]), Base64URL.encode(Array(good.dropLast())), Base64.encode(good),
        ] {
            #expect(try refused(text) == .badSignatureEncoding, "seed \(seed): \(text)")
        }
        var flipped = good
        flipped[samples.random.below(64)] ^= UInt8(1 << samples.random.below(8))
        #expect(try refused(Base64URL.encode(flipped)) == .badSignature, "seed \(seed)")
    }

    /// Random operations by random keys at random places: what is accepted verifies again as an audit log, the
    /// operations in force are a chain, and every undone one lies between two of them.
    @Test(arguments: 0..<30) func anyHistoryVerifies(seed: UInt64) throws {
        let samples = PLCSamples(seed: seed)
        let random = samples.random
        var (log, _) = try samples.log()
        var now = start
        for round in 0..<12 {
            now = now + .seconds(random.below(40 * 3600))
            let prev = log.entries[random.below(log.entries.count)].operation
            let key = random.below(3)
            let operation =
                random.oneIn(6)
                ? try samples.tombstone(after: prev, by: key)
                : try samples.update("round\(round).example.com", after: prev, by: key)
            _ = try? log.apply(operation, at: log.receiptTime(now: now))
        }
        let verified = try PLCLog(verifyingAudit: log.auditValue, of: log.did)
        #expect(verified == log, "seed \(seed)")
        let chain = log.active
        for (operation, next) in zip(chain, chain.dropFirst()) { #expect(next.prev == operation.cid, "seed \(seed)") }
        #expect(chain.last == log.head?.operation)
        #expect(try PLCLog(verifyingLog: log.logValue, of: log.did).state == log.state, "seed \(seed)")
        #expect(PLCLog(did: log.did, trusted: log.entries) == log)
        // The JSON form loses nothing.
        let again = try PLCLog(verifyingAudit: DataValue(json: log.auditValue.json()), of: log.did)
        #expect(again == log, "seed \(seed)")
    }
}
