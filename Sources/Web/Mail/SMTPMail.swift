package import Base
import CCurl
import Dispatch

/// Letters by SMTP, one connection each (RFC 5321). libcurl speaks it, on one thread of its own: letters go out one after
/// the other, and what waits in line is the business of whoever queues them.
package final class SMTPMail: MailTransport {
    private let server: MailServer
    private let sender: String
    private let hostname: String
    private let clock: any WallClock
    private let randomness: any Randomness
    private let queue = DispatchQueue(label: "mail")

    /// The longest that handing over one letter may take, and reaching the server.
    private static let timeoutSeconds = 30
    private static let connectTimeoutSeconds = 10
    private static let isReady = curl_global_init(Int(CURL_GLOBAL_SSL)) == CURLE_OK

    /// - Parameters:
    ///   - sender: the address letters come from.
    ///   - hostname: what this server calls itself in the greeting.
    /// - Throws: `.invalidAddress` when `sender` is no address.
    package init(
        _ server: MailServer, sender: String, hostname: String, clock: any WallClock, randomness: any Randomness
    ) throws(MailFailure) {
        guard MailMessage.isAddress(sender) else { throw .invalidAddress }
        self.server = server
        self.sender = sender
        self.hostname = hostname
        self.clock = clock
        self.randomness = randomness
    }

    package func send(_ message: MailMessage) async throws(MailFailure) {
        let id = Hex.encode(randomness.bytes(16))
        let bytes = try message.wire(from: sender, id: id, date: clock.now())
        let result: Result<Void, MailFailure> = await withCheckedContinuation { continuation in
            queue.async { [self] in
                continuation.resume(returning: Result { () throws(MailFailure) in try hand(bytes, message.recipient) })
            }
        }
        try result.get()
    }

    /// The letter as libcurl reads it.
    private final class Source {
        var rest: ArraySlice<UInt8>

        init(_ bytes: [UInt8]) { rest = bytes[...] }
    }

    private func hand(_ bytes: [UInt8], _ recipient: String) throws(MailFailure) {
        guard Self.isReady, let handle = curl_easy_init() else { throw .unavailable(reason: "libcurl can't be used") }
        defer { curl_easy_cleanup(handle) }
        guard let recipients = curl_slist_append(nil, "<\(recipient)>") else {
            throw .unavailable(reason: "no memory")
        }
        defer { curl_slist_free_all(recipients) }
        let source = Source(bytes)
        let code = withExtendedLifetime(source) {
            prepare(handle, recipients, source) ?? curl_easy_perform(handle)
        }
        guard code != CURLE_OK else { return }
        let reply = kith_curl_response_code(handle)
        if (500..<600).contains(reply), code != CURLE_LOGIN_DENIED { throw .refused(code: reply) }
        throw .unavailable(reason: String(cString: curl_easy_strerror(code)) + (reply > 0 ? " (\(reply))" : ""))
    }

    /// Sets everything; the first thing that can't be set, or nil.
    private func prepare(
        _ handle: UnsafeMutableRawPointer, _ recipients: UnsafeMutablePointer<curl_slist>, _ source: Source
    ) -> CURLcode? {
        let context = Unmanaged.passUnretained(source).toOpaque()
        let results = [
            kith_curl_set_text(handle, CURLOPT_URL, "\(server.address)/\(hostname)"),
            kith_curl_set_text(handle, CURLOPT_PROTOCOLS_STR, "smtp,smtps"),
            kith_curl_set_text(handle, CURLOPT_MAIL_FROM, "<\(sender)>"),
            kith_curl_set_list(handle, CURLOPT_MAIL_RCPT, recipients),
            kith_curl_set_number(
                handle, CURLOPT_USE_SSL,
                Int((server.protection == .none ? CURLUSESSL_NONE : CURLUSESSL_ALL).rawValue)),
            kith_curl_set_number(handle, CURLOPT_UPLOAD, 1), kith_curl_set_number(handle, CURLOPT_NOSIGNAL, 1),
            kith_curl_set_number(handle, CURLOPT_TIMEOUT, Self.timeoutSeconds),
            kith_curl_set_number(handle, CURLOPT_CONNECTTIMEOUT, Self.connectTimeoutSeconds),
            kith_curl_set_pointer(handle, CURLOPT_READDATA, context),
            kith_curl_set_transfer(handle, CURLOPT_READFUNCTION) { buffer, size, count, context in
                guard let buffer, let context else { return 0 }
                let source = Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
                let part = source.rest.prefix(size * count)
                source.rest = source.rest.dropFirst(part.count)
                part.withUnsafeBytes { bytes in
                    UnsafeMutableRawBufferPointer(start: buffer, count: bytes.count).copyMemory(from: bytes)
                }
                return part.count
            },
        ]
        return results.first { $0 != CURLE_OK }
    }
}
