/// A map of the data model: text keys, unique byte for byte, kept in canonical DAG-CBOR order (length, then bytes).
///
/// Lookup is O(log n). Keys are compared by their bytes, never by Unicode equivalence.
package struct DataMap: Sendable, Hashable {
    /// One pair.
    package struct Entry: Sendable, Hashable {
        package var key: String
        package var value: DataValue

        package init(key: String, value: DataValue) {
            self.key = key
            self.value = value
        }
    }

    private var entries: [Entry]

    package init() { entries = [] }

    /// Entries that are known to be unique and in canonical order.
    init(canonicalEntries: [Entry]) { entries = canonicalEntries }

    /// Sorts `entries`; nil when a key appears twice.
    package init?(unordered entries: [Entry]) {
        var sorted = entries
        var isSorted = true
        for index in sorted.indices.dropFirst() where !DataMap.precedes(sorted[index - 1].key, sorted[index].key) {
            isSorted = false
            break
        }
        if !isSorted {
            sorted.sort { DataMap.precedes($0.key, $1.key) }
            for index in sorted.indices.dropFirst() where DataMap.sameKey(sorted[index - 1].key, sorted[index].key) {
                return nil
            }
        }
        self.entries = sorted
    }

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }
    package var keys: [String] { entries.map(\.key) }

    /// The value of `key`; setting nil removes it.
    package subscript(key: String) -> DataValue? {
        get {
            let index = position(of: key)
            // Not a conditional expression: its `nil` would be the literal of DataValue, that is null.
            guard index < entries.count, DataMap.sameKey(entries[index].key, key) else { return nil }
            return entries[index].value
        }
        set {
            let index = position(of: key)
            let exists = index < entries.count && DataMap.sameKey(entries[index].key, key)
            switch (exists, newValue) {
            case (true, let value?): entries[index].value = value
            case (true, nil): entries.remove(at: index)
            case (false, let value?): entries.insert(Entry(key: key, value: value), at: index)
            case (false, nil): break
            }
        }
    }

    private func position(of key: String) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if DataMap.precedes(entries[middle].key, key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// True when `left` comes before `right` in canonical order.
    package static func precedes(_ left: String, _ right: String) -> Bool {
        let leftCount = left.utf8.count
        let rightCount = right.utf8.count
        if leftCount != rightCount { return leftCount < rightCount }
        return left.utf8.lexicographicallyPrecedes(right.utf8)
    }

    /// True when both keys have the same bytes.
    package static func sameKey(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
    }
}

extension DataMap: Sequence {
    /// Pairs in canonical order.
    package struct Iterator: IteratorProtocol {
        private var entries: IndexingIterator<[Entry]>

        init(_ entries: [Entry]) { self.entries = entries.makeIterator() }

        package mutating func next() -> (key: String, value: DataValue)? {
            guard let entry = entries.next() else { return nil }
            return (entry.key, entry.value)
        }
    }

    package func makeIterator() -> Iterator { Iterator(entries) }
}

extension DataMap: ExpressibleByDictionaryLiteral {
    /// A literal; of a key that appears twice the last value stays.
    package init(dictionaryLiteral elements: (String, DataValue)...) {
        self.init()
        for (key, value) in elements { self[key] = value }
    }
}
