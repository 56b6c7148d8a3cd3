import CAres
import Glibc
import Synchronization

/// The thread behind a resolver: owns the c-ares channel, which nobody else touches.
///
/// Questions come through a queue and a pipe that wakes the thread; answers go out through their completion. The
/// thread ends when it is stopped; questions that are open then fail.
final class DNSWorker: Sendable {
    typealias Completion = @Sendable (Result<DNSAnswer, DNSFailure>) -> Void

    private struct State {
        var waiting: [(DNSQuestion, Completion)] = []
        var openCount = 0
        var isStopped = false
    }

    /// Set up in `init`, used by the thread, destroyed at its end.
    private nonisolated(unsafe) let channel: ares_channel
    private let wakeReader: Int32
    private let wakeWriter: Int32
    private let questionCountMax: Int
    private let state = Mutex(State())

    private static let libraryStatus = ares_library_init(ARES_LIB_INIT_ALL)

    init(_ configuration: DNSResolver.Configuration) throws(DNSFailure) {
        guard Self.libraryStatus == ARES_SUCCESS else { throw .serverFailure(status: Int(Self.libraryStatus)) }
        channel = try Self.openChannel(configuration)
        questionCountMax = configuration.questionCountMax
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            ares_destroy(channel)
            throw .serverFailure(status: Int(ARES_ENOMEM))
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (wakeReader, wakeWriter) = (ends[0], ends[1])
    }

    private static func openChannel(_ configuration: DNSResolver.Configuration) throws(DNSFailure) -> ares_channel {
        var options = ares_options()
        options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_EDNS
        options.timeout = Int32(
            clamping: configuration.timeout.components.seconds * 1000
                + configuration.timeout.components.attoseconds / 1_000_000_000_000_000)
        options.tries = Int32(clamping: configuration.tryCount)
        var mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES
        var channel: ares_channel?
        let lookups = configuration.readsHostsFile ? "fb" : "b"
        let status = lookups.withCString { lookups in
            options.lookups = UnsafeMutablePointer(mutating: lookups)
            mask |= ARES_OPT_LOOKUPS
            return ares_init_options(&channel, &options, mask)
        }
        guard status == ARES_SUCCESS, let channel else { throw .serverFailure(status: Int(status)) }
        if !configuration.servers.isEmpty {
            let status = ares_set_servers_ports_csv(channel, configuration.servers.joined(separator: ","))
            guard status == ARES_SUCCESS else {
                ares_destroy(channel)
                throw .serverFailure(status: Int(status))
            }
        }
        return channel
    }

    deinit {
        // Not at the end of the thread: whoever stops it may still be writing to the pipe.
        close(wakeReader)
        close(wakeWriter)
    }

    /// Starts the thread, which keeps the worker alive until it is stopped.
    func start() {
        var thread = pthread_t()
        let started = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<DNSWorker>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        if started == 0 {
            pthread_detach(thread)
        } else {
            Unmanaged.passUnretained(self).release()
            state.withLock { $0.isStopped = true }
        }
    }

    /// Queues a question; `completion` is called once, from the thread.
    func ask(_ question: DNSQuestion, completion: @escaping Completion) {
        let refusal: DNSFailure? = state.withLock { state in
            if state.isStopped { return .stopped }
            if state.openCount >= questionCountMax { return .busy }
            state.openCount += 1
            state.waiting.append((question, completion))
            return nil
        }
        if let refusal { return completion(.failure(refusal)) }
        wake()
    }

    /// Ends the thread.
    func stop() {
        state.withLock { $0.isStopped = true }
        wake()
    }

    private func wake() {
        var byte: UInt8 = 1
        // A full pipe wakes the thread just as well.
        _ = write(wakeWriter, &byte, 1)
    }

    // MARK: On the thread

    private func run() {
        while true {
            let (questions, isStopped) = state.withLock { state in
                defer { state.waiting = [] }
                return (state.waiting, state.isStopped)
            }
            for (question, completion) in questions { begin(question, completion) }
            if isStopped { break }
            waitAndProcess()
        }
        ares_destroy(channel)
    }

    private func begin(_ question: DNSQuestion, _ completion: @escaping Completion) {
        let open = OpenQuestion { [self] result in
            state.withLock { $0.openCount -= 1 }
            completion(result)
        }
        let argument = Unmanaged.passRetained(open).toOpaque()
        switch question {
        case .addresses(let host):
            var hints = ares_addrinfo_hints()
            hints.ai_family = AF_UNSPEC
            ares_getaddrinfo(
                channel, host, nil, &hints,
                { argument, status, _, answer in OpenQuestion.take(argument)?.finish(status: status, addresses: answer)
                },
                argument)
        case .texts(let name):
            let internetClass: Int32 = 1
            let textType: Int32 = 16
            ares_query(
                channel, name, internetClass, textType,
                { argument, status, _, bytes, count in
                    OpenQuestion.take(argument)?.finish(status: status, message: bytes, count: count)
                }, argument)
        }
    }

    private func waitAndProcess() {
        var sockets = [ares_socket_t](repeating: -1, count: Int(ARES_GETSOCK_MAXNUM))
        let bits = ares_getsock(channel, &sockets, ARES_GETSOCK_MAXNUM)
        var polled = [pollfd(fd: wakeReader, events: Int16(POLLIN), revents: 0)]
        for index in 0..<Int(ARES_GETSOCK_MAXNUM) {
            let reads = bits & (1 << Int32(index)) != 0
            let writes = bits & (1 << Int32(index + Int(ARES_GETSOCK_MAXNUM))) != 0
            guard reads || writes else { continue }
            let events = (reads ? Int16(POLLIN) : 0) | (writes ? Int16(POLLOUT) : 0)
            polled.append(pollfd(fd: sockets[index], events: events, revents: 0))
        }
        var longest = timeval(tv_sec: 60, tv_usec: 0)
        var next = timeval()
        var milliseconds: Int32 = -1
        if let timeout = ares_timeout(channel, &longest, &next), polled.count > 1 {
            milliseconds = Int32(clamping: timeout.pointee.tv_sec * 1000 + timeout.pointee.tv_usec / 1000 + 1)
        }
        let count = poll(&polled, UInt(polled.count), milliseconds)
        if polled[0].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            while read(wakeReader, &bytes, bytes.count) > 0 {}
        }
        for socket in polled.dropFirst() where socket.revents != 0 {
            let reads = socket.revents & Int16(POLLIN | POLLERR | POLLHUP) != 0
            let writes = socket.revents & Int16(POLLOUT) != 0
            ares_process_fd(channel, reads ? socket.fd : -1, writes ? socket.fd : -1)
        }
        if count <= 0 { ares_process_fd(channel, -1, -1) }
    }
}

/// A question c-ares is at: what its callbacks are given.
private final class OpenQuestion {
    private let completion: DNSWorker.Completion

    init(completion: @escaping DNSWorker.Completion) { self.completion = completion }

    static func take(_ argument: UnsafeMutableRawPointer?) -> OpenQuestion? {
        argument.map { Unmanaged<OpenQuestion>.fromOpaque($0).takeRetainedValue() }
    }

    func finish(status: Int32, addresses answer: UnsafeMutablePointer<ares_addrinfo>?) {
        defer { if let answer { ares_freeaddrinfo(answer) } }
        var found: [IPAddress] = []
        var node = answer?.pointee.nodes
        while let current = node {
            if let address = Self.address(current.pointee), !found.contains(address) { found.append(address) }
            node = current.pointee.ai_next
        }
        if found.isEmpty { return completion(.failure(Self.failure(status))) }
        completion(.success(.addresses(found)))
    }

    func finish(status: Int32, message: UnsafeMutablePointer<UInt8>?, count: Int32) {
        guard status == ARES_SUCCESS, let message else { return completion(.failure(Self.failure(status))) }
        var list: UnsafeMutablePointer<ares_txt_ext>?
        let parsed = ares_parse_txt_reply_ext(message, count, &list)
        defer { if let list { ares_free_data(list) } }
        guard parsed == ARES_SUCCESS else { return completion(.failure(Self.failure(parsed))) }
        var records: [[UInt8]] = []
        var part = list
        while let current = part {
            let bytes = UnsafeBufferPointer(start: current.pointee.txt, count: current.pointee.length)
            if current.pointee.record_start != 0 || records.isEmpty { records.append([]) }
            records[records.count - 1].append(contentsOf: bytes)
            part = current.pointee.next
        }
        guard !records.isEmpty else { return completion(.failure(.notFound)) }
        completion(.success(.texts(records.map { String(decoding: $0, as: UTF8.self) })))
    }

    private static func address(_ node: ares_addrinfo_node) -> IPAddress? {
        guard let socketAddress = node.ai_addr else { return nil }
        switch node.ai_family {
        case AF_INET:
            return socketAddress.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin_addr) { IPAddress(bytes: Array($0)) }
            }
        case AF_INET6:
            return socketAddress.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin6_addr) { IPAddress(bytes: Array($0)) }
            }
        default: return nil
        }
    }

    private static func failure(_ status: Int32) -> DNSFailure {
        switch status {
        case ARES_SUCCESS, ARES_ENODATA, ARES_ENOTFOUND, ARES_ENONAME: .notFound
        case ARES_EBADNAME: .invalidName
        case ARES_ETIMEOUT: .timeout
        case ARES_EDESTRUCTION, ARES_ECANCELLED: .stopped
        default: .serverFailure(status: Int(status))
        }
    }
}
