/// A dictionary that forgets the entry not touched for the longest time when it is full.
struct LeastRecentlyUsed<Key: Hashable, Value> {
    private struct Node {
        var key: Key
        var value: Value
        var newer: Int
        var older: Int
    }

    private static var none: Int { -1 }

    private let countMax: Int
    private var slots: [Key: Int] = [:]
    private var nodes: [Node] = []
    private var free: [Int] = []
    private var newest = -1
    private var oldest = -1

    /// An empty table of at most `countMax` (1 or more) entries.
    init(countMax: Int) { self.countMax = max(1, countMax) }

    var count: Int { slots.count }

    /// The value of `key` without touching it.
    func value(for key: Key) -> Value? { slots[key].map { nodes[$0].value } }

    /// The value of `key`, which becomes the newest.
    mutating func touch(_ key: Key) -> Value? {
        guard let slot = slots[key] else { return nil }
        unlink(slot)
        linkNewest(slot)
        return nodes[slot].value
    }

    /// Stores `value` as the newest; returns the entry that had to go for it.
    @discardableResult
    mutating func set(_ value: Value, for key: Key) -> (key: Key, value: Value)? {
        if let slot = slots[key] {
            nodes[slot].value = value
            unlink(slot)
            linkNewest(slot)
            return nil
        }
        var evicted: (key: Key, value: Value)?
        if slots.count >= countMax, oldest != Self.none {
            let last = nodes[oldest].key
            evicted = remove(last).map { (last, $0) }
        }
        let node = Node(key: key, value: value, newer: Self.none, older: Self.none)
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            nodes[slot] = node
        } else {
            slot = nodes.count
            nodes.append(node)
        }
        slots[key] = slot
        linkNewest(slot)
        return evicted
    }

    /// Forgets `key`.
    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        guard let slot = slots.removeValue(forKey: key) else { return nil }
        unlink(slot)
        free.append(slot)
        return nodes[slot].value
    }

    /// All entries, oldest first.
    var entries: [(key: Key, value: Value)] {
        var result: [(key: Key, value: Value)] = []
        var slot = oldest
        while slot != Self.none {
            result.append((nodes[slot].key, nodes[slot].value))
            slot = nodes[slot].newer
        }
        return result
    }

    private mutating func unlink(_ slot: Int) {
        let (newer, older) = (nodes[slot].newer, nodes[slot].older)
        if newer == Self.none { newest = older } else { nodes[newer].older = older }
        if older == Self.none { oldest = newer } else { nodes[older].newer = newer }
    }

    private mutating func linkNewest(_ slot: Int) {
        nodes[slot].newer = Self.none
        nodes[slot].older = newest
        if newest != Self.none { nodes[newest].newer = slot }
        newest = slot
        if oldest == Self.none { oldest = slot }
    }
}
