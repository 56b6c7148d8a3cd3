/// How far long work is.
package struct WorkProgress: Sendable, Hashable {
    /// What is counted.
    package enum Unit: Sendable, Hashable {
        case bytes
        /// Things of a kind, in the plural: `records`.
        case items(String)
    }

    /// What is being done, such as `exporting`.
    package var action: String
    package var done: Int
    /// Nil while nobody knows.
    package var total: Int?
    package var unit: Unit

    package init(_ action: String, done: Int, total: Int? = nil, unit: Unit) {
        self.action = action
        self.done = done
        self.total = total
        self.unit = unit
    }
}

/// Takes word of how far work is; called often, from any thread.
package typealias ProgressReport = @Sendable (WorkProgress) -> Void
