import Foundation
import Synchronization
import TestDatabases

/// Stands between a database and its server, and can cut the writing connection at the worst moment: the server has
/// committed, and its answer is on the way.
final class AnswerCutter: Sendable {
    private let directory: ScratchDirectory
    private let target: String
    private let listener: Int32
    private let isArmed = Atomic(false)

    /// - Parameter serverURL: of a server that listens on a Unix socket.
    init(serverURL: String) throws {
        directory = try ScratchDirectory()
        let host = serverURL.firstMatch(of: /host=([^&]*)/).map { String($0.1) } ?? ""
        target = host + "/.s.PGSQL.5432"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let path = directory.file(".s.PGSQL.5432")
        guard Self.withAddress(path, { bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0 else {
            throw Refusal(reason: Int(errno))
        }
        Thread.detachNewThread { [self, listener] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                serve(client)
            }
        }
    }

    /// The address of a database, by way of this.
    func url(_ url: String) -> String { url.replacing(/host=[^&]*/, with: "host=" + directory.path) }

    /// Cuts at the next commit of a writer, once.
    func arm() { isArmed.store(true, ordering: .sequentiallyConsistent) }

    /// Lets nobody in any more.
    func close() {
        shutdown(listener, Int32(SHUT_RDWR))
        Glibc.close(listener)
    }

    private func serve(_ client: Int32) {
        let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard Self.withAddress(target, { connect(server, $0, $1) }) == 0 else { return }
        let flag = Flag()
        Thread.detachNewThread {
            Self.copy(client, server) { bytes in
                if Self.contains(bytes, "kith write") { flag.raise() }
                return true
            }
        }
        Thread.detachNewThread { [self] in
            Self.copy(server, client) { bytes in
                guard flag.isRaised, Self.contains(bytes, "COMMIT\0") else { return true }
                return !isArmed.exchange(false, ordering: .sequentiallyConsistent)
            }
        }
    }

    /// Whether a connection is the writer's.
    private final class Flag: Sendable {
        private let state = Mutex(false)

        var isRaised: Bool { state.withLock { $0 } }
        func raise() { state.withLock { $0 = true } }
    }

    /// Copies what comes until either end is gone or `mayPass` says no; then nothing passes in either direction.
    private static func copy(_ from: Int32, _ to: Int32, _ mayPass: ([UInt8]) -> Bool) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        copying: while true {
            let count = read(from, &buffer, buffer.count)
            guard count > 0, mayPass(Array(buffer[..<count])) else { break }
            var sent = 0
            while sent < count {
                let written = send(to, Array(buffer[sent..<count]), count - sent, Int32(MSG_NOSIGNAL))
                guard written > 0 else { break copying }
                sent += written
            }
        }
        for end in [from, to] { shutdown(end, Int32(SHUT_RDWR)) }
    }

    private static func contains(_ bytes: [UInt8], _ text: String) -> Bool {
        bytes.firstRange(of: Array(text.utf8)) != nil
    }

    private static func withAddress<T>(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> T) -> T {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
