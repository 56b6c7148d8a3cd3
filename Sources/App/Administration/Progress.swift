/// How far long work is.
package struct WorkProgress: Sendable, Hashable {
    /// What is counted.
    package enum Unit: Sendable, Hashable {
        case bytes
        /// Things of a kind, in the plural: `records`.
        case items(String)
        /// Nothing: the server works on it in one piece.
        case nothing
    }

    /// What is being done, such as `exporting`.
    package var action: String
    package var done: Int
    /// Nil while nobody knows.
    package var total: Int?
    package var unit: Unit

    /// Work whose end alone is told.
    package static func waiting(_ action: String) -> WorkProgress { WorkProgress(action, done: 0, unit: .nothing) }

    package init(_ action: String, done: Int, total: Int? = nil, unit: Unit) {
        self.action = action
        self.done = done
        self.total = total
        self.unit = unit
    }
}

/// Takes word of how far work is; called often, from any thread.
package typealias ProgressReport = @Sendable (WorkProgress) -> Void
