/// The newest events, in memory, bounded in bytes: every durable event with a number in `floor + 1 ... head`.
struct LogRing {
    private let sizeBytesMax: Int
    private var slots: [LogEvent?] = Array(repeating: nil, count: 64)
    private var first = 0
    private(set) var count = 0
    private(set) var sizeBytes = 0
    /// Events up to this number are in the table only.
    private(set) var floor: Int64
    /// The newest number known to be durable.
    private(set) var head: Int64

    /// What an event costs besides its frame, roughly.
    private static let overheadBytes = 128

    init(sizeBytesMax: Int, head: Int64) {
        self.sizeBytesMax = sizeBytesMax
        self.head = head
        floor = head
    }

    /// Adds the next durable event.
    ///
    /// A number that doesn't follow the last one means that events were written elsewhere, or a write failed after
    /// taking its number. Which of the two can't be told, so the ring starts anew here: readers behind use the table.
    mutating func append(_ event: LogEvent) {
        guard event.seq > head else { return }
        if event.seq != head + 1 { restart(head: event.seq - 1) }
        if count == slots.count { grow() }
        slots[(first + count) & (slots.count - 1)] = event
        count += 1
        sizeBytes += event.frame.count + Self.overheadBytes
        head = event.seq
        while sizeBytes > sizeBytesMax, count > 0 { dropFirst() }
    }

    /// Forgets all events; `head` becomes the newest number known.
    mutating func restart(head: Int64) {
        while count > 0 { dropFirst() }
        self.head = max(self.head, head)
        floor = self.head
    }

    /// Forgets the events up to `seq`.
    mutating func drop(through seq: Int64) {
        while floor < seq, count > 0 { dropFirst() }
    }

    /// Events after `seq`, in order, within the limits but at least one if there is one; nil if some are in the
    /// table only.
    func events(after seq: Int64, limitEvents: Int, limitBytes: Int) -> [LogEvent]? {
        guard seq >= floor else { return nil }
        var taken: [LogEvent] = []
        var bytes = 0
        var index = Int(clamping: seq - floor)
        while index < count, taken.count < limitEvents {
            guard let event = slots[(first + index) & (slots.count - 1)] else { break }
            bytes += event.frame.count
            if bytes > limitBytes, !taken.isEmpty { break }
            taken.append(event)
            index += 1
        }
        return taken
    }

    private mutating func dropFirst() {
        guard let event = slots[first] else { return }
        slots[first] = nil
        first = (first + 1) & (slots.count - 1)
        count -= 1
        sizeBytes -= event.frame.count + Self.overheadBytes
        floor = event.seq
    }

    private mutating func grow() {
        var larger: [LogEvent?] = []
        larger.reserveCapacity(slots.count * 2)
        for index in 0..<count { larger.append(slots[(first + index) & (slots.count - 1)]) }
        larger += Array(repeating: nil, count: slots.count * 2 - count)
        slots = larger
        first = 0
    }
}
