import Synchronization
import Web

/// Keeps the letters that were sent.
final class TestMail: MailTransport {
    private let kept = Mutex<[MailMessage]>([])

    /// All letters so far, the oldest first.
    var letters: [MailMessage] { kept.withLock { $0 } }

    func send(_ message: MailMessage) throws(MailFailure) { kept.withLock { $0.append(message) } }
}
