import ATProtocol
package import Contracts
import Storage

/// What other rooms hold repositories to: guards by the kind of account, and observers of collections.
package struct RepositoryRules: Sendable {
    /// Who judges writes to repositories that are not one person's.
    let guards: [AccountKind: any RepositoryGuard]
    private let observers: [any RecordObserver]
    private let byCollection: [NSID: [Int]]

    package init(guards: [AccountKind: any RepositoryGuard] = [:], observers: [any RecordObserver] = []) {
        self.guards = guards
        self.observers = observers
        var byCollection: [NSID: [Int]] = [:]
        for (index, observer) in observers.enumerated() {
            for collection in observer.collections { byCollection[collection, default: []].append(index) }
        }
        self.byCollection = byCollection
    }

    /// Whether anybody observes what these write to. Such a commit may be refused at the last moment.
    func observe(_ writes: [PreparedWrite]) -> Bool {
        !byCollection.isEmpty && writes.contains { byCollection[$0.path.collection] != nil }
    }

    /// Tells the observers what a commit did.
    func tell(_ change: RepositoryChange, of did: DID, in scope: any WriteScope) throws {
        guard !byCollection.isEmpty else { return }
        var told: [Int: [ObservedRecord]] = [:]
        for write in change.writes {
            let path = try RepositoryPath(parsing: write.path)
            guard let indices = byCollection[path.collection] else { continue }
            let value = try write.cid.map { _ in try DataValue(cbor: write.value) }
            let record = ObservedRecord(path: path, cid: write.cid, value: value)
            for index in indices { told[index, default: []].append(record) }
        }
        for (index, records) in told.sorted(by: { $0.key < $1.key }) {
            try observers[index].observe(records, of: did, in: scope)
        }
    }

    /// Tells one observer after the other all that is stored of `tree`: after an import, or to make tables anew.
    func retell(tree: Int64, of did: DID, in scope: any WriteScope) throws {
        for observer in observers {
            try observer.forget(did, in: scope)
            for collection in observer.collections.sorted() {
                try retell(collection, to: observer, tree: tree, of: did, in: scope)
            }
        }
    }

    /// Records told at once.
    private static let pageCount = 200

    private func retell(
        _ collection: NSID, to observer: any RecordObserver, tree: Int64, of did: DID, in scope: any WriteScope
    ) throws {
        var cursor: String?
        while true {
            let rows = try RepositoryStore.records(
                collection, tree: tree, cursor: cursor, isAscending: true, limit: Self.pageCount, in: scope)
            let records = try rows.map { row in
                ObservedRecord(
                    path: try RepositoryPath(parsing: row.path), cid: row.cid, value: try DataValue(cbor: row.value))
            }
            if !records.isEmpty { try observer.observe(records, of: did, in: scope) }
            guard rows.count == Self.pageCount, let last = records.last else { return }
            cursor = last.path.key.string
        }
    }

    /// Has the guard of such an account judge the state of its repository.
    func check(_ standing: AccountStanding, in scope: any WriteScope) throws {
        try guards[standing.kind]?.check(standing.did, in: scope)
    }

    /// Tells the observers that a repository is gone.
    func forget(_ did: DID, in scope: any WriteScope) throws {
        for observer in observers { try observer.forget(did, in: scope) }
    }
}
