/// Why a backup can't be made, read, trusted or restored.
package enum BackupError: Error, Sendable, Hashable {
    /// The text is no recovery key; a letter may be wrong.
    case malformedKey
    /// The recovery key is another's.
    case otherKey
    /// No recovery key was made for this instance yet.
    case noKey
    /// There is a recovery key already.
    case keyExists
    /// The folder holds something that is no backup.
    case notABackup(path: String)
    /// What was named can't be a place of backups; why.
    case place(String)
    /// The folder holds no finished backup, or none of that number.
    case absent(number: Int?)
    /// Another backup is being made in the folder.
    case inUse(path: String)
    /// The backup was made by a newer version of Kith.
    case newer(String)
    /// A file of this machine can't be read or written.
    case file(path: String, reason: String)
    /// The first thing found wrong with the backup.
    case damaged(BackupFault)
    /// What is restored into isn't empty.
    case notEmpty(String)
    /// The database changed so much while it was read that reading was given up, again and again.
    case tooBusy(attempts: Int)
    /// What was laid down isn't what was saved.
    case mismatch(table: String)
}

extension BackupError: CustomStringConvertible {
    /// For the operator, in one line.
    package var description: String {
        switch self {
        case .malformedKey: "this is no recovery key; look for a letter that is wrong"
        case .otherKey: "the backup is sealed to another recovery key"
        case .noKey: "no recovery key was made yet: kith backup key"
        case .keyExists: "there is a recovery key already; --replace makes another, for a new backup folder"
        case .notABackup(let path): "\(path) holds something that is no backup"
        case .place(let reason): reason
        case .absent(let number): number.map { "there is no backup \($0)" } ?? "there is no finished backup"
        case .inUse(let path): "\(path): a backup is being made there"
        case .newer(let what): "the backup was made by a newer version of Kith (\(what))"
        case .file(let path, let reason): "\(path): \(reason)"
        case .damaged(let fault): "the backup is damaged: \(fault)"
        case .notEmpty(let place): "\(place) isn't empty: a backup is restored into an empty place"
        case .tooBusy(let attempts):
            "the database changed too much while it was read, \(attempts) times in a row: make the backup in a quieter hour or "
                + "to a faster place, or move to PostgreSQL (kith database copy), which can be read under any load"
        case .mismatch(let table): "the table \(table) isn't what was saved"
        }
    }
}

/// One thing that is wrong with a backup.
package enum BackupFault: Sendable, Hashable, CustomStringConvertible {
    /// A file isn't there that should be; by its path in the folder.
    case missing(String)
    /// A file is there that no backup speaks of.
    case additional(String)
    /// The bytes of a file aren't those that were written.
    case changed(String)
    /// A file doesn't open under the recovery key, or isn't what its name says.
    case unsealable(String)
    /// A backup doesn't follow the one before it: one of them was taken away or put in another's place.
    case unchained(number: Int)
    /// The newest backup isn't the expected one: newer ones were taken away.
    case rolledBack(expected: Int, found: Int)
    /// A table's rows aren't those that were counted when they were saved.
    case table(String)
    /// A blob's bytes don't have its hash.
    case blob(String)
    /// A repository isn't sound.
    case repository(String)
    /// The backup doesn't hold together; what is wrong.
    case inconsistent(String)

    package var description: String {
        switch self {
        case .missing(let path): "\(path) is missing"
        case .additional(let path): "\(path) belongs to no backup"
        case .changed(let path): "\(path) was changed"
        case .unsealable(let path): "\(path) doesn't open"
        case .unchained(let number): "backup \(number) doesn't follow the one before it"
        case .rolledBack(let expected, let found): "the newest backup is \(found), not \(expected)"
        case .table(let name): "the rows of \(name) aren't those that were saved"
        case .blob(let name): "the blob \(name) isn't whole"
        case .repository(let name): "the repository \(name) isn't sound"
        case .inconsistent(let what): what
        }
    }
}
