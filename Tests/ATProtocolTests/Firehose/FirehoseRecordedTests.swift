import ATProtocol
import Testing

/// Events recorded from the network (bluesky-social/indigo, relay test data), where the vectors are present.
@Suite struct FirehoseRecordedTests {
    @Test(arguments: ["account_lifecycle", "post_lifecycle"]) func scenarios(name: String) throws {
        guard let json = try SyntaxVectors.bytes("firehose-recorded/\(name).json") else { return }
        let scenario = try DataValue(json: json)
        let messages = try #require(scenario["messages"]?.arrayValue)
        #expect(!messages.isEmpty)
        for message in messages {
            let type = try #require(message["frame"]?["header"]?["t"]?.stringValue)
            let body = try #require(message["frame"]?["body"]?.mapValue)
            try check(type: type, body: body)
        }
    }

    /// Commits of a server older than sync 1.1: no `prevData`, `prev` of the commit present.
    @Test(arguments: ["commit_4621317030", "commit_4621317332"]) func oldCommits(name: String) throws {
        guard let json = try SyntaxVectors.bytes("firehose-recorded/\(name).json") else { return }
        let body = try #require(try DataValue(json: json).mapValue)
        try check(type: "#commit", body: body)
    }

    private func check(type: String, body: DataMap) throws {
        let header: DataValue = ["op": 1, "t": .string(type)]
        let frame = try FirehoseFrame(bytes: header.cbor() + DataValue.map(body).cbor())
        guard case .event(let seq, let event) = frame else {
            Issue.record("\(type) is not an event")
            return
        }
        #expect(seq == body["seq"]?.integerValue)
        #expect(event.type == type)
        #expect(event.did.string == (body["repo"] ?? body["did"])?.stringValue)
        #expect(event.time.string == body["time"]?.stringValue)

        // Written again, it has the same fields, but for those no longer written and lists given as null.
        var expected = body
        if type == "#commit" {
            expected["prev"] = nil
            if expected["blobs"] == .null { expected["blobs"] = [] }
        }
        let bytes = try #require(frame.bytes())
        #expect(bytes == header.cbor() + DataValue.map(expected).cbor())
    }
}
