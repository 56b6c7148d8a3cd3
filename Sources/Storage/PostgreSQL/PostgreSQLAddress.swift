package import Base
import CPostgreSQL

/// A connection string, as far as it can be judged without a server, and what comes of it.
enum PostgreSQLAddress {
    /// What is wrong with a connection string, in one sentence; nil when libpq can read it.
    ///
    /// libpq's own sentences quote the string, and what they quote may be a part of the password: where that holds a
    /// character that should have been encoded, it is taken for a host, a port or the name of a database.
    static func mistake(in url: String) -> String? {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &message) else {
            defer { PQfreemem(message) }
            let reason = message.flatMap { parameter(in: String(cString: $0), of: url) }
            return "\(unusable) can't be read; \(reason ?? hint)"
        }
        defer { PQconninfoFree(options) }
        var option = options
        while let keyword = option.pointee.keyword {
            if String(cString: keyword) == "port", let value = option.pointee.val {
                let ports = String(cString: value).split(separator: ",")
                guard ports.allSatisfy({ UInt16($0).map { $0 > 0 } ?? false }) else {
                    return "\(unusable) names a port that is no number; \(hint)"
                }
            }
            option += 1
        }
        return nil
    }

    /// The reason, where it is a parameter that nobody knows: safe to tell when what comes before it ended with a host.
    private static func parameter(in message: String, of url: String) -> String? {
        guard message.contains("query parameter"), let query = url.firstIndex(of: "?"), !url[query...].contains("@")
        else { return nil }
        return message.split(separator: "\n").first.map { String($0) }
    }

    private static let unusable = "the connection string"
    /// What sentences begin with that are true until somebody changes the address, the server or the database.
    private static let lastingBeginnings = [
        unusable, PostgreSQLServer.tooOld, PostgreSQLServer.otherEncoding, PostgreSQLServer.readOnly,
    ]

    /// Whether waiting doesn't help: the address can't be used, the server refuses us, or the database isn't fit.
    static func isLasting(_ error: StorageError) -> Bool {
        guard case .unavailable(let detail) = error else { return false }
        return isRefusal(error) || lastingBeginnings.contains { detail.hasPrefix($0) }
    }

    private static let hint = "special characters in names and passwords are written as %XX"

    /// What libpq says of an attempt to connect that failed, with error codes.
    static func refusal(_ message: String) -> StorageError {
        guard let line = message.split(separator: "\n").first else {
            return .unavailable(detail: "no connection to the database server")
        }
        guard let match = line.firstMatch(of: #/: {2}([0-9A-Z]{5}): /#) else {
            return .unavailable(detail: String(line))
        }
        let sentence = line[..<match.range.lowerBound] + ": " + line[match.range.upperBound...]
        return .unavailable(detail: "\(sentence) (\(match.1))")
    }

    /// Whether a server answered and will answer the same the next time: it doesn't know the user, the password or
    /// the database. False when it wasn't there, or is only starting.
    static func isRefusal(_ error: StorageError) -> Bool {
        guard case .unavailable(let detail) = error,
            let match = detail.firstMatch(of: #/\(([0-9A-Z]{2})[0-9A-Z]{3}\)$/#)
        else { return false }
        return ["28", "3D", "42"].contains(match.1)
    }
}

extension PostgreSQLDatabase {
    /// What is found behind the address of a replica.
    package enum Replica: Sendable {
        case database(InstanceMark)
        /// No server answers: streams do without it until it is there.
        case absent(StorageError)
        /// The address is wrong, or the server won't have us.
        case refused(StorageError)
    }

    /// Connects once to the server at `url`. Blocks for at most the connect timeout and that of a read.
    package static func replica(at url: String, randomness: any Randomness = SystemRandomness()) -> Replica {
        let options = PostgreSQLOptions()
        if let mistake = PostgreSQLAddress.mistake(in: url) { return .refused(.unavailable(detail: mistake)) }
        let reader = PostgreSQLReader(PostgreSQLServer(url: url, options: options, randomness: randomness), .stream)
        defer { reader.close() }
        do {
            return .database(
                try reader.reading(deadline: ContinuousClock().now + options.connectTimeout) {
                    try InstanceMark.find(in: reader, .postgreSQL)
                })
        } catch {
            let error = StorageError(any: error)
            if case .statement = error { return .refused(error) }
            return PostgreSQLAddress.isRefusal(error) ? .refused(error) : .absent(error)
        }
    }
}
