import ATProtocol
import Base
import Contracts
import Storage

/// What the network is told of accounts and identities, as entries of the log.
enum AccountEvents {
    /// `#identity`: the handle or the document may have changed.
    static func identity(_ did: DID, handle: Handle?, now: Timestamp) -> LogEntry {
        let event = FirehoseEvent.identity(FirehoseIdentity(did: did, handle: handle, time: Datetime(now)))
        return LogEntry(did: did, kind: .identity, time: now, frame: event.prepared())
    }

    /// `#account`: whether the repository is served, and why not.
    static func account(_ did: DID, hosting: HostingStatus, now: Timestamp) -> LogEntry {
        let standing: FirehoseAccount.Standing =
            hosting.wireName.map { .inactive(FirehoseAccount.Status($0)) } ?? .active
        let event = FirehoseEvent.account(FirehoseAccount(did: did, standing: standing, time: Datetime(now)))
        return LogEntry(did: did, kind: .account, time: now, frame: event.prepared())
    }
}
