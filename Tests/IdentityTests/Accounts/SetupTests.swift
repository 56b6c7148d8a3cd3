import ATProtocol
import Base
import Contracts
import Storage
import Testing

@testable import Identity

/// The first administrator.
struct SetupTests {
    private static let named = BootstrapAdministrator(
        handle: "admin", email: "Warden@mail.test", password: "Copper-Lantern-41")

    @Test func theNamedAdministratorIsMadeOnce() async throws {
        let home = try await Home { $0.bootstrap = Self.named }
        try await home.accounts.ensureBootstrapAdministrator()
        try await home.accounts.ensureBootstrapAdministrator()
        let page = try await home.accounts.list(AccountFilter(role: .admin), limit: 10, offset: 0)
        #expect(page.total == 1)
        let admin = try #require(page.items.first)
        #expect(admin.handle.string == "admin.test" && admin.roles == Set(ServerRole.allCases))
        #expect(admin.status == .approved && admin.did.isPLC)
        #expect(try await home.repositories.head(of: admin.did) != nil)
        #expect(try await home.events().count == 4)
        let grant = try await home.sessions.signIn(
            .init(identifier: "warden@mail.test", password: Self.named.password), origin: "")
        #expect(grant.standing.did == admin.did)
        await home.discard()
    }

    @Test func anExistingAccountIsRaised() async throws {
        let home = try await Home { $0.bootstrap = Self.named }
        var new = AccountService.NewAccount(handle: "walter", email: "warden@mail.test", password: Home.password)
        new.maker = .operator(roles: [])
        let made = try await home.accounts.register(new)
        try await home.accounts.change(made.account.did, .suspend, by: .operator)
        try await home.accounts.ensureBootstrapAdministrator()
        let standing = try #require(try await home.foundation.accounts.standing(of: made.account.did))
        #expect(standing.roles == Set(ServerRole.allCases) && standing.status == .approved)
        #expect(try await home.accounts.list(AccountFilter(), limit: 10, offset: 0).total == 1)
        await home.discard()
    }

    @Test func aWeakPasswordIsForDevelopmentOnly() async throws {
        for (setting, isMade) in [(IdentityConfiguration.Setting.development, true), (.production, false)] {
            let home = try await Home {
                $0.bootstrap = BootstrapAdministrator(handle: "warden", email: "w@mail.test", password: "weak")
                $0.setting = setting
            }
            let made: Void? = try? await home.accounts.ensureBootstrapAdministrator()
            #expect((made != nil) == isMade)
            await home.discard()
        }
    }

    @Test func theSetupLinkWorksOnce() async throws {
        let home = try await Home {
            $0.invites = .required; $0.approval = .required
        }
        let old = try #require(try await home.accounts.setupToken())
        let token = try #require(try await home.accounts.setupToken())
        #expect(try await !home.accounts.isSetupToken(old))
        await #expect(throws: AccountError.setupFinished) {
            try await home.accounts.completeSetup(
                token: old, handle: "warden", email: "w@mail.test", password: Home.password)
        }
        await #expect(throws: AccountError.self) {
            try await home.accounts.completeSetup(token: token, handle: "w", email: "x", password: "y")
        }
        let made = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<6 {
                group.addTask {
                    let done = try? await home.accounts.completeSetup(
                        token: token, handle: "warden\(number)", email: "w\(number)@mail.test", password: Home.password)
                    return done?.grant == nil ? 0 : 1
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(made == 1)
        #expect(try await home.accounts.setupToken() == nil)
        let admins = try await home.accounts.list(AccountFilter(role: .admin), limit: 10, offset: 0)
        #expect(admins.total == 1 && admins.items.first?.status == .approved)
        await home.discard()
    }

    @Test func theTokenIsNotInTheDatabase() async throws {
        let home = try await Home()
        let token = try #require(try await home.accounts.setupToken())
        let stored = try await home.database.read { try $0.first("SELECT token FROM account_setup")?.blob(0) }
        #expect(stored != Array(token.utf8) && stored != Base64URL.decode(token))
        await home.discard()
    }
}
