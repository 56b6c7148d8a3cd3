package import Logging

/// Letters that go no further than the log: for work on one machine.
package struct LoggedMail: MailTransport {
    private let logger: Logger

    package init(logger: Logger) {
        self.logger = logger
    }

    package func send(_ message: MailMessage) async throws(MailFailure) {
        logger.notice(
            "a letter, printed since there is no mail server",
            metadata: [
                "to": "\(message.recipient)", "subject": "\(message.subject)", "text": "\(message.text)",
            ])
    }
}
