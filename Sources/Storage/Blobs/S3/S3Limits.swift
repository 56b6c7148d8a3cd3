/// How much a bucket is asked for, and how long it is waited for.
package struct S3Limits: Sendable, Hashable {
    /// What is larger is sent in parts of this size; at least 5 MiB by S3's rules.
    package var partSizeBytes = 8 << 20
    /// Parts of one upload under way at once.
    package var partsAtOnce = 3
    /// Requests under way at once, open reads aside.
    package var requestsMax = 32
    /// Blobs being read at once. Each holds a connection for as long as its reader takes.
    package var readsMax = 256
    /// Requests, and again reads, that may wait for their turn; a further one fails with `.overloaded`.
    package var waitingMax = 1024
    /// How long one waits for its turn.
    package var turnTimeout: Duration = .seconds(10)
    /// How often one request is sent, the first time included.
    package var attemptsMax = 4
    /// The longest pause before the second attempt; doubled for each further one. The pause itself is drawn at random.
    package var pauseMin: Duration = .milliseconds(200)
    package var pauseMax: Duration = .seconds(3)
    /// The longest `Retry-After` that is waited for; a longer one ends the attempts.
    package var retryAfterMax: Duration = .seconds(10)
    /// How long the head of an answer may take once the body was sent.
    package var headTimeout: Duration = .seconds(10)
    /// How long joining the parts of an upload, or a copy inside the bucket, may take.
    package var assemblyTimeout: Duration = .seconds(120)
    /// The slowest a bucket may take or give bytes, a second.
    package var bytesPerSecondMin: Int64 = 64 << 10
    /// How long a body may stand still.
    package var stallTimeout: Duration = .seconds(15)
    /// The longest answer that is read as a whole: a page of a list.
    package var answerSizeBytesMax = 4 << 20
    /// Pages of one listing; each must bring it forward.
    package var pagesMax = 1000

    package init() {}

    /// How long `byteCount` bytes may take.
    func duration(of byteCount: Int64) -> Duration { .seconds(max(0, byteCount) / max(1, bytesPerSecondMin)) }
}
