/// What the bodies of a group want done once the group is durable.
struct GroupActions {
    typealias Action = @Sendable () -> Void

    private var actions: [Action] = []
    private var groupActions: [(key: ObjectIdentifier, action: Action)] = []
    private var itemActions: [Action] = []
    private var itemGroupActions: [(key: ObjectIdentifier, action: Action)] = []

    mutating func add(_ action: @escaping Action) {
        itemActions.append(action)
    }

    mutating func add(_ key: ObjectIdentifier, _ action: @escaping Action) {
        guard !itemGroupActions.contains(where: { $0.key == key }) else { return }
        itemGroupActions.append((key, action))
    }

    /// The body succeeded: what it asked for stands.
    mutating func keepItem() {
        actions.append(contentsOf: itemActions)
        itemActions.removeAll(keepingCapacity: true)
        for (key, action) in itemGroupActions where !groupActions.contains(where: { $0.key == key }) {
            groupActions.append((key, action))
        }
        itemGroupActions.removeAll(keepingCapacity: true)
    }

    /// The body failed: what it asked for is forgotten.
    mutating func dropItem() {
        itemActions.removeAll(keepingCapacity: true)
        itemGroupActions.removeAll(keepingCapacity: true)
    }

    /// All actions in order, those of `afterGroup` last; none are left.
    mutating func take() -> [Action] {
        defer { self = GroupActions() }
        return actions + groupActions.map(\.action)
    }
}

/// The sequences that a group advances.
struct GroupSequences {
    /// Where each stands inside the transaction, as far as known.
    private var values: [SequenceName: Int64] = [:]
    private var advanced: Set<SequenceName> = []
    /// Those that the body that runs now has had written down.
    private var writtenByItem: Set<SequenceName> = []
    /// Where each stood before the body that runs now advanced it, and whether it had been advanced.
    private var before: [(name: SequenceName, value: Int64, isAdvanced: Bool)] = []

    /// What the transaction has to write.
    var changes: [(name: SequenceName, value: Int64)] {
        advanced.compactMap { name in values[name].map { (name, $0) } }
    }

    func knows(_ name: SequenceName) -> Bool { values[name] != nil }

    /// Notes the value that the database holds.
    mutating func learn(_ name: SequenceName, _ value: Int64) {
        values[name] = value
    }

    /// Moves a sequence whose value is known.
    mutating func advance(_ name: SequenceName, by step: Int64) -> Int64 {
        let value = values[name] ?? 0
        before.append((name, value, advanced.contains(name)))
        let next = value + max(step, 1)
        values[name] = next
        advanced.insert(name)
        return next
    }

    /// `changes` are in the transaction.
    mutating func markWritten() {
        writtenByItem.formUnion(advanced)
        advanced = []
    }

    mutating func keepItem() {
        before.removeAll(keepingCapacity: true)
        writtenByItem = []
    }

    /// The body failed: its numbers are given to the next one, so that failures leave no gaps.
    mutating func dropItem() {
        advanced.formUnion(writtenByItem)
        writtenByItem = []
        while let (name, value, isAdvanced) = before.popLast() {
            values[name] = value
            // Nothing is written where nothing changed: it might be refused.
            if !isAdvanced { advanced.remove(name) }
        }
    }
}
