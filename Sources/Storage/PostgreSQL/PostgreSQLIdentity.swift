import Synchronization

/// What the parts of one database have to know of one another.
final class PostgreSQLIdentity: Sendable {
    private let state = Mutex<Int32>(0)

    /// The server's process behind the writer: what that one announces is known here already.
    var writer: Int32 { state.withLock { $0 } }

    func set(writer: Int32) { state.withLock { $0 = writer } }
}
