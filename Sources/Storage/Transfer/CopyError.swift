/// Why a database can't be copied, or served after a copy.
package enum CopyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The database was moved: the other one counts.
    case moved(to: String)
    /// The database is the target of a copy that hasn't come to its end.
    case unfinished
    /// Another copy of the source is under way.
    case underWay
    /// Another copier has taken over.
    case takenOver
    /// The target holds another instance.
    case otherInstance
    /// The target holds this instance already, or something else.
    case targetNotEmpty(table: String)
    /// The target holds tables that aren't Kith's.
    case foreignTables(String)
    /// The target is being copied or was moved itself.
    case targetBusy
    /// We may not make tables there.
    case missingRights(String)
    /// Source and target are at different steps of the schema.
    case otherSchema
    /// The schema was changed while the copy was under way.
    case schemaChanged
    /// The source is written to faster than it can be copied.
    case cannotCatchUp
    /// The rows of the two databases differ. The source goes on to be served.
    case differs(table: String)
    /// Writes were let in again before the copy had come to its end.
    case holdLapsed
    /// Whether the move took place can't be told; the same command, given again, finds out.
    case unclear
    /// The source has moved, and the target doesn't know yet; the same command, given again, tells it.
    case unopened
    /// A later version of this program left a mark.
    case unknownMark(String)

    package var description: String {
        switch self {
        case .moved(let peer):
            "this database was moved to \(peer), which holds everything since: serve that one (KITH_DATABASE_URL)"
        case .unfinished:
            "this database is a copy that was not finished: run `kith database copy` again, or serve the one it was "
                + "made from"
        case .underWay: "another copy of this database is under way, or was broken off a few seconds ago"
        case .takenOver: "another copy of this database was begun meanwhile"
        case .otherInstance: "the target holds another instance (its secrets are sealed with another key)"
        case .targetNotEmpty(let table): "the target is not empty: its table '\(table)' has rows"
        case .foreignTables(let table): "the target is not empty: its table '\(table)' is none of Kith's"
        case .targetBusy: "the target is itself being copied, or was moved"
        case .missingRights(let detail): "this user may not make tables in the target: \(detail)"
        case .otherSchema: "the two databases are at different steps of the schema: run `kith database migrate` first"
        case .schemaChanged: "the schema was changed during the copy; begin anew"
        case .cannotCatchUp: "the database is written to faster than it can be copied; try again at a quieter time"
        case .differs(let table): "the copy of '\(table)' differs from the original; nothing was moved"
        case .holdLapsed: "the last changes took too long to be copied; nothing was moved, try again"
        case .unclear:
            "the connection was lost at the last step: run the same command again to find out whether the move took place"
        case .unopened: "all was moved, but the other database could not be told: run the same command again"
        case .unknownMark(let mark): "a newer version of Kith has left the mark '\(mark)' in this database"
        }
    }
}
