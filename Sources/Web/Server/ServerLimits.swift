/// What one server takes and how long it waits. Every number here is a defence; all may be set by configuration.
package struct ServerLimits: Sendable {
    /// JSON bodies. More: 413.
    package var jsonByteCountMax = 150_000
    /// JSON bodies of createRecord, putRecord and applyWrites. More: 413.
    package var recordByteCountMax = 1_000_000
    /// Text bodies. More: 413.
    package var textByteCountMax = 100_000
    /// Uploaded blobs, decoded. More: 413.
    package var blobByteCountMax = 100 << 20
    /// Imported archives, decoded. More: 413.
    package var archiveByteCountMax = 4 << 30

    /// All header lines and the request line together. More: 431, and the connection ends.
    package var headerByteCountMax = 32 * 1024
    /// Header lines of a request. More: 431, and the connection ends.
    package var headerCountMax = 100
    /// What the frame of a chunked body (chunk sizes, extensions, trailers) may have beside 16 bytes for each byte of the body.
    /// More: 400, and the connection ends.
    package var chunkFrameByteCountMax = 64 * 1024
    /// Open connections. More wait in the kernel's queue.
    package var connectionCountMax = 10_000

    /// From the first byte of a request to the end of its header. Later: 408, and the connection ends.
    package var headerTimeout: Duration = .seconds(10)
    /// The time in which a body has to end or to bring `bodyByteCountMin`. Later: 408, and the connection ends.
    package var bodyTimeout: Duration = .seconds(30)
    /// What a body has to bring in each `bodyTimeout`.
    package var bodyByteCountMin = 16 * 1024
    /// The time in which a client has to take all of an answer that waits for it, or `writeByteCountMin` of it. Longer: the
    /// connection is cut.
    package var writeTimeout: Duration = .seconds(30)
    /// What a client has to take of an answer in each `writeTimeout`.
    package var writeByteCountMin = 16 * 1024
    /// Streamed answers (blobs, archives) that one client address may be taking at once. More: 429.
    package var streamCountPerAddressMax = 100
    /// How long a connection may wait for its next request: longer than a proxy in front keeps its side.
    package var idleTimeout: Duration = .seconds(90)
    /// How long a connection on which an unread body is thrown away may last.
    package var lingerTimeout: Duration = .seconds(5)
    /// What is read and thrown away of a body that no handler wanted before the connection is ended instead.
    package var drainByteCountMax = 64 * 1024
    /// How long accepted requests may take to finish once the server stops.
    package var shutdownTimeout: Duration = .seconds(10)
    /// Answers shorter than this aren't compressed.
    package var compressByteCountMin = 1024
    /// What every WebSocket holds and waits.
    package var webSocket = WebSocketLimits()

    package init() {}

    /// The number behind a symbolic limit.
    func byteCountMax(_ limit: BodyLimit) -> Int {
        switch limit {
        case .json: jsonByteCountMax
        case .records: recordByteCountMax
        case .text: textByteCountMax
        case .blob: blobByteCountMax
        case .archive: archiveByteCountMax
        case .bytes(let count): count
        }
    }
}
