package import ATProtocol
package import Contracts
package import Storage

/// Keeps the table of keys in step with the records that publish them.
package struct ExternalKeyProjection: RecordObserver {
    package let collections: Set<NSID>
    package let tables = ["external_key"]

    package init() {
        collections = Set([try? NSID(parsing: ExternalKeyService.collection)].compactMap { $0 })
    }

    package func observe(_ records: [ObservedRecord], of did: DID, in scope: any WriteScope) throws {
        for record in records {
            let rkey = record.path.key
            if let value = record.value, let key = PublishedKey(value, did: did, rkey: rkey) {
                try ExternalKeyStore.set(key, in: scope)
            } else {
                try ExternalKeyStore.remove(did, rkey: rkey, in: scope)
            }
        }
    }

    package func forget(_ did: DID, in scope: any WriteScope) throws {
        try ExternalKeyStore.removeAll(of: did, in: scope)
    }
}
