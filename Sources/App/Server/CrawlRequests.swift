import ATProtocol
import Base
import Logging
import Storage
import Web

/// Asks relays to crawl this server: at start, and when there is news, at most every 20 minutes.
///
/// - Spec: https://atproto.com/specs/sync (`com.atproto.sync.requestCrawl`)
struct CrawlRequests: Sendable {
    let crawlers: [ServiceOrigin]
    let name: PublicName
    let client: any OutboundHTTP
    let log: EventLog
    let logger: Logger
    var sleeper: any Clock<Duration> = ContinuousClock()

    static let interval = Duration.seconds(20 * 60)

    /// Runs until the task is cancelled or the log is closed.
    func run() async throws {
        while !Task.isCancelled {
            let head = log.head
            for crawler in crawlers { await ask(crawler) }
            do {
                try await sleeper.sleep(for: Self.interval)
                _ = try await log.next(after: head, limitEvents: 1)
            } catch {
                return
            }
        }
    }

    private func ask(_ crawler: ServiceOrigin) async {
        let body = DataValue.map(["hostname": .string(name.authority)]).json()
        let request = OutboundRequest(
            "POST", "\(crawler)/xrpc/com.atproto.sync.requestCrawl", headers: [("Content-Type", "application/json")],
            body: body)
        do throws(OutboundFailure) {
            let response = try await client.send(request)
            guard !(200..<300).contains(response.status) else { return }
            logger.warning(
                "a relay refused to crawl", metadata: ["relay": "\(crawler)", "status": "\(response.status)"])
        } catch {
            logger.warning("a relay can't be asked to crawl", metadata: ["relay": "\(crawler)", "error": "\(error)"])
        }
    }
}
