import ATProtocol
import Base
import Testing

@Suite struct FirehoseFuzzTests {
    /// Frames with changed, removed and inserted bytes: an error or a frame that encodes to a canonical form, no trap.
    @Test func hostileFrames() throws {
        let random = SeededRandomness(seed: 11)
        for round in 0..<SyntaxVectors.fuzzInputCount {
            let good = FirehoseSamples.event(random).prepared().frame(seq: Int64(1 + random.below(1 << 40)))
            var bytes = random.oneIn(20) ? random.bytes(random.below(80)) : good
            for _ in 0..<random.below(4) where !bytes.isEmpty {
                let index = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[index] = UInt8(truncatingIfNeeded: random.uint64())
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8(truncatingIfNeeded: random.uint64()), at: index)
                }
            }
            guard let frame = try? FirehoseFrame(bytes: bytes), let again = frame.bytes() else { continue }
            #expect(try FirehoseFrame(bytes: again) == frame, "seed 11, round \(round)")
        }
    }

    /// Commits whose blocks were changed: refused, whatever the blocks hold. No trap.
    @Test func hostileBlocks() throws {
        var publisher = FirehosePublisher(seed: 12)
        let random = publisher.random
        var verifier = publisher.verifier
        try verifier.accept(.commit(publisher.commit(operationCount: 20)), now: publisher.now)
        let good = try publisher.commit(operationCount: 6)
        let archive = try CARReader.read(good.blocks)
        for round in 0..<SyntaxVectors.fuzzInputCount {
            // The hash of a changed block is made right, so that what reads the block is reached.
            var blocks = CARWriter.header(roots: archive.roots)
            let changed = random.below(archive.blocks.count)
            for (index, block) in archive.blocks.enumerated() {
                var bytes = block.bytes
                if index == changed { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.uint64()) }
                CARWriter.append(random.oneIn(2) ? CID.of(dagCBOR: bytes) : block.cid, bytes, to: &blocks)
            }
            var bad = good
            bad.blocks = blocks
            guard blocks != good.blocks else { continue }
            #expect(throws: FirehoseRejection.self, "seed 12, round \(round)") {
                var verifier = verifier
                try verifier.accept(.commit(bad), now: publisher.now)
            }
        }
    }
}
