package import ATProtocol
package import Storage

/// The name and port under which the world reaches an instance.
package struct PublicName: Sendable, Hashable {
    /// In lower case, without port.
    package let host: String
    /// Nil for the scheme's own.
    package let port: Int?

    /// Reads `host` or `host:port`; nil for anything else.
    package init?(_ text: String) {
        guard !text.contains("/"), let origin = ServiceOrigin("https://" + text) else { return nil }
        host = origin.host
        port = origin.port
    }

    package init(localPort: Int) {
        host = "localhost"
        port = localPort == 80 ? nil : localPort
    }

    /// Whether only this machine can mean it: then http is spoken.
    package var isLocal: Bool { host == "localhost" || host.hasSuffix(".localhost") || host == "127.0.0.1" }

    /// `host` or `host:port`.
    package var authority: String { host + (port.map { ":\($0)" } ?? "") }

    /// The address of the start page, without a final slash.
    package var url: String { (isLocal ? "http://" : "https://") + authority }

    /// The identity of the instance itself: a did:web.
    package var did: DID? {
        if let web = DIDWeb(host: host, port: port) { return web.did }
        return try? DID(parsing: "did:web:" + authority.replacing(":", with: "%3A"))
    }

    /// The domain under which handles are given unless others are named.
    package var handleDomain: String { isLocal ? ".test" : "." + host }
}

/// Where the database is.
package enum DatabaseLocation: Sendable, Hashable, CustomStringConvertible {
    /// A file of the embedded engine.
    case sqlite(path: String)
    /// A database of a PostgreSQL server. The address may hold a password.
    case postgreSQL(url: Secret)

    package var description: String {
        switch self {
        case .sqlite(let path): "sqlite:" + path
        case .postgreSQL: "postgresql:<secret>"
        }
    }
}

/// Where the bytes of blobs are.
package enum BlobsLocation: Sendable, Hashable, CustomStringConvertible {
    /// A folder.
    case file(path: String)
    /// A bucket of an object store.
    case s3(S3Location)

    package var description: String {
        switch self {
        case .file(let path): "file:" + path
        case .s3(let location): location.description
        }
    }
}

/// Which part of an instance a process runs. Several processes on one database share the parts between them.
package enum ProcessRole: String, Sendable, Hashable, CaseIterable {
    /// Every part.
    case all
    /// Every part that answers requests.
    case web
    /// Accounts, sessions and the directory of identities.
    case identity
    /// Records and archives.
    case repositories
    /// Communities and what they decide.
    case communities
    /// Uploads and downloads of blobs.
    case blobs
    /// Subscriptions to the log of events.
    case firehose
    /// The pages for people.
    case pages
    /// Background work: upkeep, sweeps, retention, news to relays.
    case worker

    /// The parts that this stands for; one that stands for itself alone is its own.
    package var parts: Set<ProcessRole> {
        let web: Set<ProcessRole> = [.identity, .repositories, .communities, .blobs, .firehose, .pages]
        return switch self {
        case .all: web.union([.worker])
        case .web: web
        default: [self]
        }
    }
}

/// How lines of the log look.
package enum LogFormat: String, Sendable, Hashable, CaseIterable {
    /// For people.
    case text
    /// One JSON object a line.
    case json
}

/// The least severe lines that are logged.
package enum LogLevel: String, Sendable, Hashable, CaseIterable {
    case trace, debug, info, notice, warning, error
}
