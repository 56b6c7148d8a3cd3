package import Base

/// How far each durable follower of the log has come. A follower moves its cursor in the transaction of its effects.
package enum FollowerCursors {
    /// A follower and its position.
    package struct Cursor: Sendable, Hashable {
        package let name: String
        /// The number of the last event it has dealt with.
        package let seq: Int64
        package let movedAt: Timestamp
    }

    /// Registers a follower at `seq`, unless it is known already. From then on retention waits for it.
    package static func register(
        _ name: String, at seq: Int64, now: Timestamp, in scope: any WriteScope
    ) throws(StorageError) {
        try scope.execute(
            "INSERT INTO log_follower (name, seq, moved_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            [.text(name), .integer(seq), .integer(now.microseconds)])
    }

    /// The follower's position, or nil if it isn't registered.
    package static func position(of name: String, in scope: any ReadScope) throws(StorageError) -> Int64? {
        try scope.first("SELECT seq FROM log_follower WHERE name = $1", [.text(name)])?.integer(0)
    }

    /// Moves the follower forward to `seq`.
    /// - Returns: false when it was there or further already (or isn't registered): another process did the work, and
    ///   the effects of this transaction must be undone.
    package static func advance(
        _ name: String, to seq: Int64, now: Timestamp, in scope: any WriteScope
    ) throws(StorageError) -> Bool {
        try scope.execute(
            "UPDATE log_follower SET seq = $2, moved_at = $3 WHERE name = $1 AND seq < $2",
            [.text(name), .integer(seq), .integer(now.microseconds)]) == 1
    }

    /// Forgets a follower, so that retention no longer waits for it.
    package static func remove(_ name: String, in scope: any WriteScope) throws(StorageError) {
        try scope.execute("DELETE FROM log_follower WHERE name = $1", [.text(name)])
    }

    /// All followers, by name.
    package static func all(in scope: any ReadScope) throws(StorageError) -> [Cursor] {
        var cursors: [Cursor] = []
        for row in try scope.query("SELECT name, seq, moved_at FROM log_follower ORDER BY name") {
            cursors.append(
                Cursor(
                    name: try row.text(0), seq: try row.integer(1),
                    movedAt: Timestamp(microseconds: try row.integer(2))))
        }
        return cursors
    }

    /// The position of the follower that is furthest behind, or nil if there is none.
    static func lowest(in scope: any ReadScope) throws(StorageError) -> Int64? {
        try scope.first("SELECT seq FROM log_follower ORDER BY seq LIMIT 1")?.integer(0)
    }
}
