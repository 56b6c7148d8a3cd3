package import ATProtocol
package import Storage
import Web

/// Everything that can be set about an instance, read and checked.
package struct Configuration: Sendable {
    /// An administrator to be made at start.
    package struct Administrator: Sendable, Hashable {
        package var handle: String
        package var email: String
        package var password: Secret
    }

    /// What the firehose keeps and serves.
    package struct Firehose: Sendable, Hashable {
        package var ageMax: Duration
        package var sizeBytesMax: Int
        package var memoryBytes: Int
        package var subscribersMax: Int
    }

    /// How a bucket is spoken to, where blobs are in one.
    package struct Bucket: Sendable, Hashable {
        package var accessKey: String?
        package var secretKey: Secret?
        package var sessionToken: Secret?
        package var redirects: Bool
    }

    /// How letters are sent.
    package struct Mail: Sendable, Hashable {
        /// Nil where there is no server for them.
        package var server: Secret?
        package var sender: String
    }

    /// What people are told of this place.
    package struct Presentation: Sendable, Hashable {
        package var title: String
        package var summary: String?
        package var contactEmail: String?
        package var privacyPolicy: String?
        package var termsOfService: String?
    }

    package var host: String
    package var port: Int
    package var name: PublicName
    package var data: String
    package var roles: [ProcessRole]
    /// The parts that the roles stand for.
    package var parts: Set<ProcessRole> { roles.reduce(into: []) { $0.formUnion($1.parts) } }
    package var isDevelopment: Bool
    package var requiresInvite: Bool
    package var requiresApproval: Bool
    /// Each with a dot before it; at least one.
    package var handleDomains: [String]
    package var administrator: Administrator?
    /// The password of HTTP Basic for the operator, also without an administrator to be made.
    package var operatorPassword: Secret?
    package var presentation: Presentation
    package var mail: Mail
    package var database: DatabaseLocation
    /// A server that follows that of `database`.
    package var databaseReplica: DatabaseLocation?
    package var databaseReadersMax: Int
    package var blobs: BlobsLocation
    package var bucket: Bucket
    /// Who asks for the bucket of backups, where there is one.
    package var backupCredentials: S3Credentials?
    package var blobSizeBytesMax: Int
    /// What the blobs of one account may hold in all.
    package var blobAccountSizeBytesMax: Int
    package var importSizeBytesMax: Int
    package var keyEncryptionSecret: Secret?
    /// The directory to register identities in; nil is the embedded one.
    package var directory: ServiceOrigin?
    package var crawlers: [ServiceOrigin]
    package var isOutboundGuarded: Bool
    package var limitsRates: Bool
    package var firehose: Firehose
    package var connectionsMax: Int
    package var shutdownTimeout: Duration
    package var showsMetrics: Bool
    package var logLevel: LogLevel
    package var logFormat: LogFormat

    /// Reads the layers, the first winning.
    ///
    /// - Throws: `ConfigurationMistakes` with all that is wrong, not only the first.
    package init(layers: [ConfigurationLayer]) throws(ConfigurationMistakes) {
        var reader = ConfigurationReader(layers: layers)
        self.init(&reader)
        check(&reader)
        guard reader.mistakes.isEmpty else {
            throw ConfigurationMistakes(mistakes: reader.mistakes, rest: (self, reader.faulty))
        }
    }

    private init(_ reader: inout ConfigurationReader) {
        typealias Keys = ConfigurationKeys
        let isDevelopment = reader.read(Keys.development, else: false)
        let port = reader.read(Keys.port, else: 0)
        let name = reader.read(Keys.hostname, else: PublicName(localPort: port))
        let data = reader.read(Keys.data, else: "")
        self.isDevelopment = isDevelopment
        self.port = port
        self.name = name
        self.data = data
        host = reader.read(Keys.host, else: "")
        roles = reader.read(Keys.roles, else: [])
        requiresInvite = reader.read(Keys.inviteRequired, else: !isDevelopment)
        requiresApproval = reader.read(Keys.approvalRequired, else: !isDevelopment)
        handleDomains = reader.read(Keys.handleDomains, else: [name.handleDomain])
        operatorPassword = reader.read(Keys.administratorPassword)
        administrator = Self.administrator(&reader, password: operatorPassword)
        presentation = Presentation(
            title: reader.read(Keys.title, else: name.host), summary: reader.read(Keys.summary),
            contactEmail: reader.read(Keys.contactEmail), privacyPolicy: reader.read(Keys.privacyPolicy),
            termsOfService: reader.read(Keys.termsOfService))
        mail = Mail(
            server: reader.read(Keys.mailURL), sender: reader.read(Keys.mailFrom, else: "noreply@\(name.host)"))
        database = reader.read(Keys.databaseURL, else: .sqlite(path: data + "/kith.sqlite"))
        databaseReplica = reader.read(Keys.databaseReplicaURL)
        databaseReadersMax = reader.read(Keys.databaseReadersMax, else: 1)
        blobs = reader.read(Keys.blobsURL, else: .file(path: data + "/blobs"))
        bucket = Bucket(
            accessKey: reader.read(Keys.blobsAccessKey), secretKey: reader.read(Keys.blobsSecretKey),
            sessionToken: reader.read(Keys.blobsSessionToken), redirects: reader.read(Keys.blobsRedirect, else: false))
        backupCredentials = Self.backupCredentials(&reader, bucket)
        blobSizeBytesMax = reader.read(Keys.blobSizeMax, else: 0)
        blobAccountSizeBytesMax = reader.read(Keys.blobAccountSizeMax, else: 0)
        importSizeBytesMax = reader.read(Keys.importSizeMax, else: 0)
        keyEncryptionSecret = reader.read(Keys.keyEncryptionSecret)
        directory = reader.read(Keys.plcURL)
        crawlers = reader.read(Keys.crawlers, else: [])
        isOutboundGuarded = reader.read(Keys.outboundGuard, else: !isDevelopment)
        limitsRates = reader.read(Keys.rateLimits, else: !isDevelopment)
        firehose = Firehose(
            ageMax: reader.read(Keys.firehoseAge, else: .zero), sizeBytesMax: reader.read(Keys.firehoseSize, else: 0),
            memoryBytes: reader.read(Keys.firehoseMemory, else: 0),
            subscribersMax: reader.read(Keys.firehoseSubscribersMax, else: 0))
        connectionsMax = reader.read(Keys.connectionsMax, else: 0)
        shutdownTimeout = reader.read(Keys.shutdownTimeout, else: .zero)
        showsMetrics = reader.read(Keys.metrics, else: isDevelopment)
        logLevel = reader.read(Keys.logLevel, else: .info)
        logFormat = reader.read(Keys.logFormat, else: .text)
    }

    /// The keys for backups, or else those for blobs.
    private static func backupCredentials(_ reader: inout ConfigurationReader, _ bucket: Bucket) -> S3Credentials? {
        let accessKey = reader.read(ConfigurationKeys.backupAccessKey)
        let secretKey = reader.read(ConfigurationKeys.backupSecretKey)
        let sessionToken = reader.read(ConfigurationKeys.backupSessionToken)
        if let accessKey, let secretKey {
            return S3Credentials(
                accessKey: accessKey, secretKey: secretKey.value, sessionToken: sessionToken?.value)
        }
        if accessKey != nil {
            reader.complain(ConfigurationKeys.backupSecretKey, "is missing: backup.access-key is set")
        }
        if secretKey != nil {
            reader.complain(ConfigurationKeys.backupAccessKey, "is missing: backup.secret-key is set")
        }
        guard let accessKey = bucket.accessKey, let secretKey = bucket.secretKey else { return nil }
        return S3Credentials(
            accessKey: accessKey, secretKey: secretKey.value, sessionToken: bucket.sessionToken?.value)
    }

    /// The administrator, when handle, e-mail and password are all there. A password alone is the operator's.
    private static func administrator(_ reader: inout ConfigurationReader, password: Secret?) -> Administrator? {
        typealias Keys = ConfigurationKeys
        let handle = reader.read(Keys.administratorHandle)
        let email = reader.read(Keys.administratorEmail)
        guard handle != nil || email != nil else { return nil }
        if handle == nil { reader.complain(Keys.administratorHandle, "is missing: e-mail or password is given") }
        if email == nil { reader.complain(Keys.administratorEmail, "is missing: handle or password is given") }
        if password == nil { reader.complain(Keys.administratorPassword, "is missing: handle or e-mail is given") }
        guard let handle, let email, let password else { return nil }
        return Administrator(handle: handle, email: email, password: password)
    }

    /// What can only be judged of several keys together.
    private func check(_ reader: inout ConfigurationReader) {
        typealias Keys = ConfigurationKeys
        if handleDomains.isEmpty { reader.complain(Keys.handleDomains, "names no domain") }
        if roles.isEmpty { reader.complain(Keys.roles, "names no role") }
        if let secret = keyEncryptionSecret, secret.value.utf8.count < KeyVault.secretBytesMin {
            reader.complain(Keys.keyEncryptionSecret, "is shorter than \(KeyVault.secretBytesMin) bytes")
        }
        if let server = mail.server, MailServer(server.value) == nil {
            reader.complain(Keys.mailURL, "is no address of a mail server, e.g. smtps://user:password@mail.example.org")
        }
        if case .sqlite = database, databaseReplica != nil {
            reader.complain(Keys.databaseReplicaURL, "needs a database on PostgreSQL")
        }
        if blobAccountSizeBytesMax < blobSizeBytesMax {
            reader.complain(Keys.blobAccountSizeMax, "is less than blobs.size-max")
        }
        if case .s3(let location) = blobs {
            if bucket.accessKey == nil { reader.complain(Keys.blobsAccessKey, "is missing: blobs are in a bucket") }
            if bucket.secretKey == nil { reader.complain(Keys.blobsSecretKey, "is missing: blobs are in a bucket") }
            if bucket.redirects, location.origin.scheme != .https, !name.isLocal {
                reader.complain(Keys.blobsRedirect, "needs a bucket that is reached by https")
            }
        } else if bucket.redirects {
            reader.complain(Keys.blobsRedirect, "needs blobs in a bucket")
        }
        if name.did == nil { reader.complain(Keys.hostname, "can't be made a did:web of") }
    }
}
