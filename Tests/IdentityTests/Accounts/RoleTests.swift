import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// Roles, reasons and counters.
struct RoleTests {
    private static let update = "net.openfederation.account.updateRoles"

    private func token(_ name: String, _ roles: Set<ServerRole>, _ home: Home) async throws -> (DID, String) {
        let made = try await home.account(name, maker: .operator(roles: roles))
        return (made.account.did, try #require(made.grant).accessToken)
    }

    @Test func ownRoleAndLastAdministratorStay() async throws {
        let home = try await Home()
        let (adele, token) = try await token("adele", [.admin], home)
        let (alice, other) = try await self.token("alice", [], home)
        func update(_ did: DID, _ input: DataMap, token: String? = nil) async throws -> Answer {
            var input = input
            input["did"] = .string(did.string)
            return try await home.post(
                Self.update, .map(input), token: token, headers: token == nil ? Home.basic : [])
        }
        #expect(try await update(adele, ["removeRoles": ["admin"]], token: token).error == "Forbidden")
        #expect(try await update(adele, ["removeRoles": ["admin"]]).error == "LastAdmin")
        #expect(try await update(alice, ["addRoles": ["admin"]], token: other).status == 403)
        #expect(try await update(alice, [:]).error == "InvalidRequest")
        #expect(try await update(alice, ["addRoles": ["owner"]]).status == 400)
        let given = try await update(alice, ["addRoles": ["admin", "auditor"], "removeRoles": ["user"]], token: token)
        #expect(given.json["roles"] == ["admin", "auditor"], "\(given.text)")
        // The very token that was refused before works now, and the other one works no longer.
        #expect(try await update(adele, ["removeRoles": ["admin"]], token: other).status == 200)
        #expect(try await update(alice, ["removeRoles": ["auditor"]], token: token).error == "Forbidden")
        #expect(try await home.audit(.accountRolesUpdate).count == 2)
        let nobody = try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
        #expect(try await update(nobody, ["addRoles": ["user"]]).error == "NotFound")
        await home.discard()
    }

    @Test func twoAdministratorsCannotRemoveOneAnother() async throws {
        let home = try await Home()
        let one = try await home.account("one", maker: .operator(roles: [.admin])).account.did
        let two = try await home.account("two", maker: .operator(roles: [.admin])).account.did
        await withTaskGroup(of: Void.self) { group in
            for (actor, target) in [(one, two), (two, one)] {
                group.addTask {
                    _ = try? await home.accounts.updateRoles(
                        of: target, adding: [], removing: [.admin], by: .account(actor))
                }
            }
        }
        #expect(try await home.accounts.list(.init(role: .admin), limit: 10, offset: 0).total == 1)
        await home.discard()
    }

    @Test func reasonsAreKeptAndReturned() async throws {
        let home = try await Home()
        let did = try await home.account("alice").account.did
        func update(_ input: DataMap) async throws -> Answer {
            var input = input
            // As OpenFederation's callers name it: without a type.
            input["subject"] = ["did": .string(did.string)]
            return try await home.post("com.atproto.admin.updateSubjectStatus", .map(input), headers: Home.basic)
        }
        func status() async throws -> DataValue {
            try await home.get("com.atproto.admin.getSubjectStatus", [("did", did.string)], headers: Home.basic).json
        }
        let put = try await update(["deactivated": ["applied": true, "ref": "spam, report 7"]])
        #expect(put.status == 200, "\(put.text)")
        #expect(put.json["subject"]?["$type"] == "com.atproto.admin.defs#repoRef")
        #expect(try await status()["deactivated"] == ["applied": true, "ref": "spam, report 7"])
        #expect(try await status()["takedown"] == ["applied": false])
        _ = try await update(["takedown": ["applied": true, "ref": "court order"]])
        #expect(try await status()["takedown"] == ["applied": true, "ref": "court order"])
        #expect(try await status()["deactivated"] == ["applied": true, "ref": "spam, report 7"])
        _ = try await update(["takedown": ["applied": false], "deactivated": ["applied": false]])
        #expect(try await status()["takedown"] == ["applied": false])
        #expect(try await status()["deactivated"] == ["applied": false])
        _ = try await update(["deactivated": ["applied": true]])
        #expect(try await status()["deactivated"] == ["applied": true, "ref": "suspended"], "an old reason is gone")
        #expect(try await home.audit(.accountTakedown).first?.meta["reason"] == "court order")
        let long = String(repeating: "x", count: AccountService.reasonLengthMax + 1)
        #expect(try await update(["takedown": ["applied": true, "ref": .string(long)]]).status == 400)
        let odd = try await home.post(
            "com.atproto.admin.updateSubjectStatus",
            ["subject": ["$type": "com.atproto.repo.strongRef", "did": .string(did.string)]], headers: Home.basic)
        #expect(odd.status == 400)
        await home.discard()
    }

    /// Suspending and unsuspending is no way past the moderators.
    @Test func unsuspendingApprovesNobody() async throws {
        let home = try await Home { $0.approval = .required }
        let did = try await home.account("alice").account.did
        for change in [AccountChange.suspend, .unsuspend, .takedown, .restore] {
            _ = try? await home.accounts.change(did, change, by: .operator)
        }
        #expect(try await home.accounts.account("alice").status == .pending)
        await home.discard()
    }

    @Test func countersAgreeWithTheAccounts() async throws {
        let home = try await Home { $0.approval = .required }
        let random = SeededRandomness(seed: 5)
        var people: [DID] = []
        for number in 0..<60 {
            switch random.below(4) {
            case 0: people.append(try await home.account("user\(number)").account.did)
            case 1: people.append(try await home.account("made\(number)", maker: .operator(roles: [])).account.did)
            case 2 where !people.isEmpty:
                let did = people[random.below(people.count)]
                let change = AccountChange.allCases[random.below(AccountChange.allCases.count)]
                _ = try? await home.accounts.change(did, change, by: .operator)
            default:
                guard people.count > 3 else { continue }
                try await home.accounts.delete(people.remove(at: random.below(people.count)), by: .operator)
            }
        }
        let counts = try await home.accounts.counts()
        for status in AccountStatus.allCases where status != .confined {
            let counted = try await home.database.read {
                try $0.first("SELECT COUNT(*) FROM account WHERE status = $1", [.text(status.rawValue)])?.integer(0)
            }
            #expect(counts.count(of: status) == counted, "\(status)")
            let listed = try await home.get(
                "net.openfederation.account.list", [("status", status.rawValue)], headers: Home.basic)
            #expect(listed.json["total"]?.integerValue == counted, "\(status)")
        }
        #expect(counts.count(of: nil) == Int64(people.count))
        await home.discard()
    }
}
