import Identity

/// No world outside: until the guarded client is there.
struct NoLookup: RemoteLookup {
    struct Unreachable: Error {}

    func get(_ url: String, sizeBytesMax: Int) async throws -> RemoteReply { throw Unreachable() }

    func post(_ url: String, json: [UInt8]) async throws -> RemoteReply { throw Unreachable() }

    func textRecords(of name: String) async throws -> [String] { throw Unreachable() }
}
