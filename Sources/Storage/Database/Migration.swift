/// One frozen step of a room's schema. Once shipped it never changes: what comes later is a new step.
package struct Migration: Sendable, Hashable {
    /// The room, in lowercase words, e.g. `accounts`.
    package let room: String
    /// 1, 2, 3 … within the room.
    package let number: Int
    /// Statements of the common subset, one each, run in order inside one transaction.
    package let statements: [String]

    package init(room: String, number: Int, statements: [String]) {
        self.room = room
        self.number = number
        self.statements = statements
    }
}
