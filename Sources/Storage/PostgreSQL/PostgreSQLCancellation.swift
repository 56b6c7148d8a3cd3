import CPostgreSQL
import Foundation
import Synchronization

/// Asks servers to end what they are doing.
///
/// libpq connects anew for that and waits for the server without a bound: for one that stands still, for ever. So each request
/// has a thread of its own, and nobody waits for it.
enum PostgreSQLCancellation {
    /// Requests under way at once, in the whole process. No further one is sent: the statement ends by the server's own
    /// timeout, and its connection isn't used again in any case.
    private static let underWayMax = 16
    private static let stackSizeBytes = 256 << 10
    private static let underWay = Mutex(0)

    private struct Request: @unchecked Sendable {
        let handle: OpaquePointer
    }

    /// Asks for the end of what the connection waits for; returns at once. To be called by the connection's own thread.
    static func send(for connection: OpaquePointer) {
        let isAdmitted = underWay.withLock { count in
            guard count < underWayMax else { return false }
            count += 1
            return true
        }
        guard isAdmitted else { return }
        guard let handle = PQgetCancel(connection) else { return end() }
        let request = Request(handle: handle)
        let thread = Thread {
            var message = [CChar](repeating: 0, count: 256)
            _ = PQcancel(request.handle, &message, Int32(message.count))
            PQfreeCancel(request.handle)
            end()
        }
        thread.name = "kith-cancel"
        thread.stackSize = stackSizeBytes
        thread.start()
    }

    private static func end() { underWay.withLock { $0 -= 1 } }
}
