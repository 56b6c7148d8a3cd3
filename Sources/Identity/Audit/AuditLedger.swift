package import ATProtocol
package import Base
package import Contracts
package import Storage

/// The audit for the rooms of other wings.
package struct AuditLedger: AuditTrail {
    private let clock: any WallClock

    package init(clock: any WallClock) {
        self.clock = clock
    }

    package func record(
        _ action: String, by caller: Caller?, target: String?, meta: DataMap, in scope: any WriteScope
    ) throws {
        let actor: AuditEntry.Actor =
            switch caller {
            case nil: .server
            case .operator?: .operator
            case .account(let account)?: .account(account.did)
            case .service(let issuer, _)?: .account(issuer)
            case .anonymous?: .anonymous
            }
        try AuditStore.append(
            AuditEntry(
                AuditEntry.Action(rawValue: action), by: actor, target: target, meta: meta, time: clock.now()),
            in: scope)
    }
}
