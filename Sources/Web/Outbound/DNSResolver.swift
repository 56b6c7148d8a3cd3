import CAres
import Glibc
import Synchronization

/// Answers DNS questions by c-ares, on a thread of its own.
package final class DNSResolver: NameResolver {
    /// How questions are asked.
    package struct Configuration: Sendable {
        /// Servers as `address` or `address:port`; empty takes those of the machine.
        package var servers: [String] = []
        /// How long one server may take for one try.
        package var timeout: Duration = .seconds(2)
        /// How often each server is asked.
        package var tryCount = 2
        /// Questions under way at once; more throw `.busy`.
        package var questionCountMax = 500
        /// Whether /etc/hosts is read before servers are asked.
        package var readsHostsFile = true

        package init() {}
    }

    private let worker: DNSWorker

    /// Starts the thread.
    ///
    /// - Throws: `.serverFailure` when c-ares can't be set up, e.g. for servers that aren't addresses.
    package init(_ configuration: Configuration = Configuration()) throws(DNSFailure) {
        worker = try DNSWorker(configuration)
        worker.start()
    }

    deinit { worker.stop() }

    package func addresses(of host: String) async throws(DNSFailure) -> [IPAddress] {
        guard case .addresses(let found) = try await ask(.addresses(host)) else { throw .notFound }
        return found
    }

    package func textRecords(of name: String) async throws(DNSFailure) -> [String] {
        guard case .texts(let found) = try await ask(.texts(name)) else { throw .notFound }
        return found
    }

    private func ask(_ question: DNSQuestion) async throws(DNSFailure) -> DNSAnswer {
        guard question.isAskable else { throw .invalidName }
        let result = await withCheckedContinuation { continuation in
            worker.ask(question) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }
}

enum DNSQuestion: Sendable {
    case addresses(String)
    case texts(String)

    /// Whether the name can stand in a DNS message.
    var isAskable: Bool {
        let name: String
        switch self {
        case .addresses(let host): name = host
        case .texts(let text): name = text
        }
        return !name.isEmpty && name.utf8.count <= 253
            && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }
            && name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
                (1...63).contains($0.count)
            }
    }
}

enum DNSAnswer: Sendable {
    case addresses([IPAddress])
    case texts([String])
}
