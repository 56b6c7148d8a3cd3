import ATProtocol
package import Base
package import Logging
package import Storage
package import Web

/// Letters to the people of this server: queued in the transaction of what they tell, sealed, sent later.
///
/// A letter may hold a link that opens an account, so that its row is sealed like a key. Whoever asks for a letter never
/// waits for the server of mails, and can't tell from the time whether one is sent.
package struct AccountMail: Sendable {
    private static let kind = JobKind(rawValue: "accounts.mail")
    private static let purpose = KeyPurpose("account.mail")
    /// Letters that were given up are kept for so long, for the operator to see.
    private static let failedAgeMax = Duration.seconds(7 * 86_400)
    private static let removalsMax = 500

    private let transport: any MailTransport
    private let database: any Database
    private let vault: KeyVault
    private let clock: any WallClock
    private let randomness: any Randomness
    private let store: JobStore
    private let signal = WakeSignal()

    /// - Parameter transport: what sends them.
    package init(
        _ transport: any MailTransport, database: any Database, vault: KeyVault, clock: any WallClock,
        randomness: any Randomness
    ) {
        self.transport = transport
        self.database = database
        self.vault = vault
        self.clock = clock
        self.randomness = randomness
        store = JobStore(dialect: database.dialect, randomness: randomness)
    }

    /// Queues a letter in the caller's transaction. One of the same kind to the same account that still waits is replaced.
    func queue(
        _ message: MailMessage, about kind: String, to did: DID, in write: any WriteScope
    ) throws {
        let body = DataValue.map([
            "to": .string(message.recipient), "subject": .string(message.subject), "text": .string(message.text),
        ])
        let key = "\(kind) \(did)"
        let sealed = try vault.seal(body.cbor(), purpose: Self.purpose, owner: key)
        let now = clock.now()
        try store.enqueue(
            Self.kind, key: key, payload: sealed, runAt: now, now: now, existing: .replace, in: write)
        write.afterCommit { [signal] in signal.wake() }
    }

    /// Sends what is queued, until the task is cancelled.
    package func run(logger: Logger, sleeper: any Clock<Duration> = ContinuousClock()) async {
        var limits = JobWorker.Limits()
        limits.concurrency = 2
        limits.retry = JobRetry(attemptsMax: 8, pauseMin: .seconds(5), pauseMax: .seconds(900))
        let worker = JobWorker(
            kind: Self.kind, database: database, signal: signal, clock: clock, sleeper: sleeper,
            randomness: randomness, limits: limits, logger: logger)
        await worker.run { try await send($0) }
    }

    /// Sends every letter that is due, once; for tests and for upkeep.
    func sendDue() async throws {
        let now = clock.now()
        let jobs = try await database.write { [self] in
            try store.claim(Self.kind, limit: 100, lease: .seconds(120), now: now, in: $0)
        }
        for job in jobs {
            _ = try await send(job)
            try await database.write { [self] in _ = try store.complete(job, in: $0) }
        }
    }

    /// Removes letters that were given up long ago.
    func removeFailed() async throws {
        let before = clock.now().advanced(by: .zero - Self.failedAgeMax)
        try await database.write { [self] in
            try store.removeFailed(Self.kind, before: before, limit: Self.removalsMax, in: $0)
        }
    }

    private func send(_ job: Job) async throws -> JobOutcome {
        guard let bytes = try? vault.open(job.payload, purpose: Self.purpose, owner: job.key),
            let body = try? DataValue(cbor: bytes), let recipient = body["to"]?.stringValue,
            let subject = body["subject"]?.stringValue, let text = body["text"]?.stringValue
        else { return .giveUp(reason: "the letter can't be opened") }
        do throws(MailFailure) {
            try await transport.send(MailMessage(to: recipient, subject: subject, text: text))
            return .done
        } catch {
            switch error {
            case .invalidAddress: return .giveUp(reason: "no address that can be written to")
            case .refused(let code): return .giveUp(reason: "refused with \(code)")
            case .unavailable(let reason): return .retry(reason: reason)
            }
        }
    }
}
