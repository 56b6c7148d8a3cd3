import ATProtocol

/// Every key there is. The reference page and the example file are made from this table.
package enum ConfigurationKeys {
    // Where and how

    static let host = ConfigurationKey(
        "host", .text, "127.0.0.1",
        "The address to listen on. `0.0.0.0` or `::` takes connections from everywhere; behind a "
            + "reverse proxy on the same machine the default is right.")
    static let port = ConfigurationKey(
        "port", .integer(0...65_535), 8080, "The port to listen on; 0 takes a free one.")
    static let hostname = ConfigurationKey(
        "hostname", .publicName, standard: "`localhost:<port>`",
        "The name under which the world reaches this server, with its port where that isn't 443. It "
            + "is part of every identity made here: choose it before the first account.")
    static let data = ConfigurationKey(
        "data", .text, "./kith-data",
        "The folder that holds everything this server keeps. One server at a time may use it.")
    static let roles = ConfigurationKey(
        "roles", list(of: .choice) as ValueParser<[ProcessRole]>, [.all],
        "Which parts of the instance this process runs, where several share one database. `web` is every part that "
            + "answers requests; the routes of absent parts answer 404. One process at least should be a `worker`.")
    static let development = ConfigurationKey(
        "development", .flag, false,
        "For trying things out on one machine: turns invites, approval, rate limits and the outbound "
            + "guard off unless they are set.")

    // Who may join

    static let inviteRequired = ConfigurationKey(
        "invite-required", .flag, standard: "`true`; `false` in development",
        "Whether a new account needs an invite code.")
    static let approvalRequired = ConfigurationKey(
        "approval-required", .flag, standard: "`true`; `false` in development",
        "Whether a new account waits for a moderator.")
    static let handleDomains = ConfigurationKey(
        "handle-domains", list(of: .handleDomain), standard: "`.<hostname>`; `.test` on localhost",
        "The domains under which people get their handles. Point a wildcard DNS record of each here.")
    static let administratorHandle = ConfigurationKey(
        "bootstrap.admin-handle", .text, standard: "none",
        "The handle of an administrator made at start, a bare name or a whole handle. Takes effect "
            + "with e-mail and password.")
    static let administratorEmail = ConfigurationKey(
        "bootstrap.admin-email", .text, standard: "none", "The e-mail address of that administrator.")
    static let administratorPassword = ConfigurationKey(
        "bootstrap.admin-password", .secret, standard: "none",
        "The password of that administrator, and the one that HTTP Basic `admin:<password>` takes for "
            + "the operator's methods.")

    // What people are told

    static let title = ConfigurationKey(
        "title", .text, standard: "the hostname", "What the start page calls this place.")
    static let summary = ConfigurationKey(
        "summary", .text, standard: "none", "A sentence or two on who this place is for, shown on the start page.")
    static let contactEmail = ConfigurationKey(
        "contact-email", .text, standard: "none", "Where people reach whoever runs this server.")
    static let privacyPolicy = ConfigurationKey(
        "privacy-policy", .link, standard: "none", "The address of the privacy policy.")
    static let termsOfService = ConfigurationKey(
        "terms-of-service", .link, standard: "none", "The address of the terms of service.")

    // Mail

    static let mailURL = ConfigurationKey(
        "mail.smtp-url", .secret, standard: "none",
        "The server that letters are handed to: `smtps://user:password@mail.example.org`, or `smtp://…`, which changes "
            + "over to TLS at once and gives up where that can't be, unless the server is this machine or `?tls=none` stands at "
            + "the end. Without one nobody can have a forgotten password replaced by mail; in development letters are logged."
    )
    static let mailFrom = ConfigurationKey(
        "mail.from", .text, standard: "`noreply@<hostname>`", "The address that letters come from.")

    // Storage

    static let databaseURL = ConfigurationKey(
        "database.url", .database, standard: "`sqlite:<data>/kith.sqlite`",
        "Where the database is: a file, or a database of a PostgreSQL server (15 or newer, UTF-8), which several "
            + "servers like this one may share. The address takes every parameter of PostgreSQL's own programs, e.g. "
            + "`?sslmode=verify-full`.")
    static let databaseReplicaURL = ConfigurationKey(
        "database.replica-url", .databaseServer, standard: "none",
        "A PostgreSQL server that follows the one of `database.url`. Downloads of whole repositories are read from it "
            + "while it keeps up.")
    static let databaseReadersMax = ConfigurationKey(
        "database.readers-max", .integer(1...1000), 8,
        "How many connections to PostgreSQL read at once. One more writes and one listens; downloads have up to 16 of "
            + "their own.")
    static let blobsURL = ConfigurationKey(
        "blobs.url", .blobs, standard: "`file:<data>/blobs`",
        "Where the bytes of blobs are kept: a folder, or a bucket that speaks S3. Without `endpoint` the bucket is "
            + "Amazon's; `region` is `us-east-1` unless given; `style=path` or `style=host` says where the bucket's "
            + "name stands in addresses.")
    static let blobsAccessKey = ConfigurationKey(
        "blobs.access-key", .text, standard: "none", "The access key for the bucket. Needed where blobs are in one.")
    static let blobsSecretKey = ConfigurationKey(
        "blobs.secret-key", .secret, standard: "none", "The secret key that belongs to it.")
    static let blobsSessionToken = ConfigurationKey(
        "blobs.session-token", .secret, standard: "none", "The session token, where the keys are temporary ones.")
    static let backupAccessKey = ConfigurationKey(
        "backup.access-key", .text, standard: "that for blobs",
        "The access key for the bucket that backups are kept in.")
    static let backupSecretKey = ConfigurationKey(
        "backup.secret-key", .secret, standard: "that for blobs", "The secret key that belongs to it.")
    static let backupSessionToken = ConfigurationKey(
        "backup.session-token", .secret, standard: "none", "The session token, where the keys are temporary ones.")
    static let blobsRedirect = ConfigurationKey(
        "blobs.redirect", .flag, false,
        "Whether pictures, sound and film are handed out by the bucket itself: `getBlob` then redirects callers "
            + "who are not signed in to an address there that holds for five minutes.")
    static let blobSizeMax = ConfigurationKey(
        "blobs.size-max", .size(1_000_000...5_000_000_000), 100_000_000, "The largest blob that may be uploaded.")
    static let blobAccountSizeMax = ConfigurationKey(
        "blobs.account-size-max", .size(1_000_000...1_000_000_000_000_000), 10_000_000_000,
        "What the blobs of one account may hold in all. Once it is reached uploads are refused with "
            + "`QuotaExceeded` until records that mention blobs are deleted; nothing is removed.")
    static let importSizeMax = ConfigurationKey(
        "import.size-max", .size(1_000_000...1_000_000_000_000), 2_000_000_000,
        "The largest archive that may be imported as a repository. It is kept in `<data>` while it is "
            + "checked, with about 150 bytes of memory for each of its blocks.")
    static let keyEncryptionSecret = ConfigurationKey(
        "key-encryption-secret", .secret, standard: "none: a key file in `<data>/secrets`",
        "At least 32 bytes from which the key is made that seals signing keys in the database. "
            + "Changing it later makes them unreadable.")

    // The network

    static let plcURL = ConfigurationKey(
        "plc.url", .origin, standard: "the embedded directory",
        "The did:plc directory in which identities are registered, e.g. `https://plc.directory`. The "
            + "embedded one is asked by nobody else; it holds the identities that were made here and takes operations "
            + "on them from whoever has signed them with a key of the identity. Others are looked up at plc.directory. "
            + "In development nothing is asked there, and the embedded one takes identities from elsewhere, too.")
    static let crawlers = ConfigurationKey(
        "crawlers", list(of: .origin), [],
        "Relays that are asked to crawl this server: at start and when there is news, at most every 20 minutes.")
    static let outboundGuard = ConfigurationKey(
        "outbound-guard", .flag, standard: "`true`; `false` in development",
        "Whether this server calls others by https at public addresses only.")
    static let rateLimits = ConfigurationKey(
        "rate-limits", .flag, standard: "`true`; `false` in development",
        "Whether callers that ask too much are told to wait.")

    // The firehose

    static let firehoseAge = ConfigurationKey(
        "firehose.age-max", .duration(.seconds(3600)...(.seconds(365 * 86400))), .seconds(72 * 3600),
        "How long events can be replayed.")
    static let firehoseSize = ConfigurationKey(
        "firehose.size-max", .size(10_000_000...10_000_000_000_000), 8_000_000_000,
        "How many bytes of events are kept for replay; older ones go first.")
    static let firehoseMemory = ConfigurationKey(
        "firehose.memory", .size(1_000_000...4_000_000_000), 16_000_000,
        "How many bytes of the newest events are kept in memory for live subscribers.")
    static let firehoseSubscribersMax = ConfigurationKey(
        "firehose.subscribers-max", .integer(1...100_000), 1000, "How many subscribers are served at once.")

    // The process

    static let connectionsMax = ConfigurationKey(
        "connections-max", .integer(16...1_000_000), 10_000, "How many connections may be open; more wait.")
    static let shutdownTimeout = ConfigurationKey(
        "shutdown-timeout", .duration(.seconds(1)...(.seconds(600))), .seconds(10),
        "How long accepted requests may take to finish once the server is told to stop.")
    static let metrics = ConfigurationKey(
        "metrics", .flag, standard: "`false`; `true` in development",
        "Whether anybody may read `/metrics`; otherwise only the operator, administrators, moderators and auditors.")
    static let logLevel = ConfigurationKey(
        "log.level", .choice as ValueParser<LogLevel>, .info, "The least severe lines that are logged.")
    static let logFormat = ConfigurationKey(
        "log.format", .choice as ValueParser<LogFormat>, .text, "How lines of the log look.")

    /// A heading and the keys under it.
    package struct Section: Sendable {
        package let title: String
        package let entries: [ConfigurationEntry]
    }

    /// All keys in the order in which they are explained.
    package static let sections: [Section] = [
        Section(
            title: "Where and how",
            entries: [host.entry, port.entry, hostname.entry, data.entry, roles.entry, development.entry]),
        Section(
            title: "Who may join",
            entries: [
                inviteRequired.entry, approvalRequired.entry, handleDomains.entry, administratorHandle.entry,
                administratorEmail.entry, administratorPassword.entry,
            ]),
        Section(
            title: "What people are told",
            entries: [
                title.entry, summary.entry, contactEmail.entry, privacyPolicy.entry, termsOfService.entry,
            ]),
        Section(title: "Mail", entries: [mailURL.entry, mailFrom.entry]),
        Section(
            title: "Storage",
            entries: [
                databaseURL.entry, databaseReplicaURL.entry, databaseReadersMax.entry, blobsURL.entry,
                blobsAccessKey.entry, blobsSecretKey.entry,
                blobsSessionToken.entry, blobsRedirect.entry, blobSizeMax.entry, blobAccountSizeMax.entry,
                importSizeMax.entry, keyEncryptionSecret.entry,
                backupAccessKey.entry, backupSecretKey.entry, backupSessionToken.entry,
            ]),
        Section(title: "The network", entries: [plcURL.entry, crawlers.entry, outboundGuard.entry, rateLimits.entry]),
        Section(
            title: "The firehose",
            entries: [firehoseAge.entry, firehoseSize.entry, firehoseMemory.entry, firehoseSubscribersMax.entry]),
        Section(
            title: "The process",
            entries: [
                connectionsMax.entry, shutdownTimeout.entry, metrics.entry, logLevel.entry, logFormat.entry,
            ]),
    ]

    /// All keys.
    package static let entries: [ConfigurationEntry] = sections.flatMap(\.entries)

    /// The flags of `kith serve`, by the path of the key they set.
    static let flags: [String: String] = [
        "data": "--data", "host": "--host", "port": "--port", "hostname": "--hostname", "roles": "--roles",
        "log.level": "--log-level", "log.format": "--log-format", "development": "--development",
    ]
}
