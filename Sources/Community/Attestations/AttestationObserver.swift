package import ATProtocol
package import Contracts
package import Storage

/// Keeps `community_attestation`, and drops the salts of what is deleted.
package struct AttestationObserver: RecordObserver {
    package init() {}

    package var collections: Set<NSID> { [AttestationRecord.collection] }
    package var tables: [String] { ["community_attestation"] }

    package func observe(_ records: [ObservedRecord], of did: DID, in scope: any WriteScope) throws {
        for observed in records {
            let key = observed.path.key
            if let value = observed.value, let cid = observed.cid, let record = AttestationRecord(value) {
                try AttestationStore.put(StoredAttestation(key: key, cid: cid, record: record), of: did, in: scope)
            } else {
                try AttestationStore.remove(key, of: did, in: scope)
            }
            if observed.value == nil { try AttestationStore.removeSalts(of: key, in: did, scope) }
        }
    }

    package func forget(_ did: DID, in scope: any WriteScope) throws {
        try AttestationStore.removeAll(of: did, in: scope)
    }
}
