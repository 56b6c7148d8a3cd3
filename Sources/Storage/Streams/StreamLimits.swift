/// Bounds of the streams of one database, the same on every engine. The defaults suit a small machine.
package struct StreamLimits: Sendable, Hashable {
    /// Streams that run at once, each on a thread and a connection of its own.
    package var runningMax = 16
    /// Streams that may wait for a thread; a further one is refused with `.overloaded`.
    package var waitingMax = 64
    /// Streams of one client that run at once; others of the same client wait.
    package var runningPerClientMax = 8
    /// Streams of one client that may wait; a further one is refused with `.shareExceeded`.
    package var waitingPerClientMax = 8
    /// What a client must take while others wait for its place.
    package var leastRate = StreamLeastRate()
    /// Bytes a stream may be ahead of its consumer.
    package var bufferBytes = 1 << 20
    /// A stream whose consumer takes so long for half a buffer ends with `.stalled`.
    package var stallTimeout = Duration.seconds(30)

    package init() {}
}

/// The pace below which a stream's reader loses its place to those that wait: `bytes` in each `window` in which the
/// stream's buffer was full.
package struct StreamLeastRate: Sendable, Hashable {
    package var window = Duration.seconds(30)
    /// 64 KiB a second.
    package var bytes = 30 * 64 << 10

    package init() {}
}
