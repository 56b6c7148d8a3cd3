/// What the Directory asks of the world outside. The guarded client and the resolver stand behind it, or a test.
package protocol RemoteLookup: Sendable {
    /// The answer to a GET. More than `sizeBytesMax` bytes, a redirect too many or a time-out are errors.
    func get(_ url: String, sizeBytesMax: Int) async throws -> RemoteReply
    /// The answer to a POST with a JSON body.
    func post(_ url: String, json: [UInt8]) async throws -> RemoteReply
    /// The TXT records of a name, each joined to one text; empty when there are none.
    func textRecords(of name: String) async throws -> [String]
}

/// Another server's answer.
package struct RemoteReply: Sendable, Hashable {
    package var status: Int
    package var body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }

    var isSuccess: Bool { (200..<300).contains(status) }
}
