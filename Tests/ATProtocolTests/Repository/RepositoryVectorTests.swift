import ATProtocol
import Base
import Foundation
import Testing

/// The interoperability vectors of trees and archives; silent where they are not beside the repository.
@Suite struct RepositoryVectorTests {
    private func objects(_ path: String) throws -> [[String: Any]] {
        guard let bytes = try SyntaxVectors.bytes(path) else { return [] }
        return try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [[String: Any]])
    }

    @Test func keyHeights() throws {
        for item in try objects("mst/key_heights.json") {
            #expect(TreeKey.layer(of: try #require(item["key"] as? String)) == item["height"] as? Int)
        }
    }

    @Test func commonPrefixes() throws {
        for item in try objects("mst/common_prefix.json") {
            let left = Array(try #require(item["left"] as? String).utf8)
            let right = Array(try #require(item["right"] as? String).utf8)
            #expect(TreeKey.sharedPrefixCount(left, right) == item["len"] as? Int)
        }
    }

    /// The number in `A3/…` is the key's height.
    @Test func exampleKeysBuildTheSameTreeInAnyOrder() throws {
        guard let bytes = try SyntaxVectors.bytes("mst/example_keys.txt") else { return }
        let keys = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        var model: [[UInt8]: CID] = [:]
        for (index, key) in keys.enumerated() {
            let height = try #require(key.dropFirst().first?.wholeNumberValue)
            #expect(TreeKey.layer(of: key) == height, "\(key)")
            model[Array(key.utf8)] = Sample.record(index)
        }
        let root = try Sample.root(of: model)
        for seed in 0..<40 as Range<UInt64> {
            var random = SeededRandomness(seed: seed)
            let tree = TestTree()
            for key in keys.shuffled(using: &random) {
                let value = try #require(model[Array(key.utf8)])
                try tree.edit { editor in try editor.put(Array(key.utf8), value) }
            }
            #expect(tree.root == root, "seed \(seed)")
            for key in keys.shuffled(using: &random).dropLast() {
                try tree.edit { editor in try editor.delete(Array(key.utf8)) }
            }
            #expect(tree.nodes.nodes.count == 1, "seed \(seed)")
        }
    }

    @Test func archivesAreByteExact() throws {
        for item in try objects("car-file-fixtures.json") {
            let text = try #require(item["car"] as? String)
            let archive = try #require(Base64.decode(text, padding: .optional))
            let blocks = try #require(item["blocks"] as? [[String: String]])
            let (roots, read) = try CARReader.read(archive)
            #expect(roots.map(\.string) == [item["root"] as? String])
            #expect(read.map(\.cid.string) == blocks.map { $0["cid"] })
            var written = CARWriter.header(roots: roots)
            for block in read { CARWriter.append(block.cid, block.bytes, to: &written) }
            #expect(written == archive)
        }
    }

    /// What real repositories of three generations are to this library.
    @Test(arguments: ["valid_repo.car", "greenground.repo.car", "paul_staging.repo.car"])
    func realRepositories(name: String) throws {
        guard let archive = try SyntaxVectors.bytes("car/\(name)") else { return }
        let (roots, blocks) = try CARReader.read(archive)
        let source = Dictionary(blocks.map { ($0.cid, $0.bytes) }, uniquingKeysWith: { first, _ in first })
        let verification = RepositoryVerification(source: source)
        do {
            let root = try #require(roots.first)
            let fields = try verification.commit(root, did: nil, key: nil)
            var builder = TreeBuilder()
            let count = try verification.tree(
                root: fields.data,
                records: { path, cid, bytes in
                    _ = try verifyRecord(bytes, path: path)
                    try builder.append(Array(path.string.utf8), cid)
                })
            #expect(try builder.finish() == fields.data)
            #expect(count > 0)
        } catch let error as RepositoryError {
            // Refused with a reason that says what is wrong, never half taken.
            #expect(name != "valid_repo.car", "\(error)")
            print("\(name): \(error)")
        }
    }
}
