import ATProtocol
import Base
import Contracts
import Synchronization
import Testing
import Web

@testable import Pages

/// Pages as their handlers answer them, without a server.
struct PagesTests {
    private let place: PlaceDescription = {
        var place = PlaceDescription(
            title: "Lindenhof", address: "http://localhost:8080", authority: "localhost:8080", handleDomain: ".test",
            version: "kith 0")
        place.joining = [.invite, .approval]
        return place
    }()

    private func text(_ response: XRPCResponse) -> String {
        guard case .bytes(let bytes) = response.content else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func person(_ handle: String) throws -> AccountStanding {
        AccountStanding(
            did: try DID(parsing: "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"), handle: try Handle(parsing: handle),
            status: .approved, roles: [.user])
    }

    @Test func textIsEscaped() {
        let hostile = "<script>\"'&\u{0}"
        let html: HTML = "<p title=\"\(hostile)\">\([hostile as String].map { "\($0)" as HTML })</p>"
        #expect(
            html.markup
                == "<p title=\"&lt;script&gt;&quot;&#39;&amp;\u{fffd}\">&lt;script&gt;&quot;&#39;&amp;\u{fffd}</p>")
        let none: HTML? = nil
        #expect(("a\(none)b" as HTML).markup == "ab")
    }

    @Test func theStartPageSaysWhatThisIs() throws {
        var place = place
        place.summary = "Neighbours & <friends>"
        place.privacyPolicy = "https://a.test/privacy"
        let page = StartPage(place: place).html([try person("ada.test"), try person("ben.example.org")])
        let text = text(page)
        #expect(page.status == 200 && page.contentType == "text/html; charset=utf-8")
        #expect(text.contains("Neighbours &amp; &lt;friends&gt;") && !text.contains("<friends>"))
        #expect(text.contains("ada<i>.test</i>") && text.contains("ben.example.org"))
        #expect(text.contains("by invitation") && text.contains("https://a.test/privacy"))
        #expect(text.contains("No public community"))
        #expect(self.text(StartPage(place: place).html([])).contains("Nobody has moved in yet"))
    }

    private static let hurdles: [(PlaceDescription.Joining, String)] = [
        ([], "Everybody may open an account"), (.invite, "by invitation: ask"),
        (.approval, "Everybody may ask"), ([.invite, .approval], "a moderator says welcome"),
    ]

    @Test(arguments: hurdles) func joiningIsExplained(_ joining: PlaceDescription.Joining, _ expected: String) {
        var place = place
        place.joining = joining
        #expect(text(StartPage(place: place).html([])).contains(expected))
    }

    @Test func pagesAreHarmless() throws {
        let pages = [
            StartPage(place: place).html([try person("ada.test")]), SetupPage(place: place).form(token: "t"),
            SetupPage(place: place).closed(), SetupPage(place: place).done(try person("ada.test")),
        ]
        for page in pages {
            let text = text(page)
            #expect(!text.contains("<script") && !text.contains(" style=") && text.firstMatch(of: /\son[a-z]+=/) == nil)
            #expect(text.contains("<html lang=\"en\">") && text.contains("name=\"viewport\""))
            #expect(text.components(of: "<h1>") == 1 && text.components(of: "<main>") == 1)
            func header(_ name: String) -> String { page.headers.first { $0.name == name }?.value ?? "" }
            #expect(header("Content-Security-Policy") == PageFrame.policy)
            #expect(header("Referrer-Policy") == "no-referrer")
        }
        #expect(PageFrame.policy.hasPrefix("default-src 'none'; style-src 'sha256-"))
        #expect(!PageFrame.policy.contains("unsafe"))
    }

    @Test func failuresArePages() {
        let (type, body) = place.frame.failures.render(
            WireFailure(status: 404, error: "NotFound", message: "No <such> page"))
        #expect(type == "text/html; charset=utf-8")
        #expect(String(decoding: body, as: UTF8.self).contains("No &lt;such&gt; page"))
    }

    // MARK: Setting up

    private static let faults: [(FirstAdministratorFault, String)] = [
        (.handle(reason: "it is taken"), "handle"), (.email(reason: "it is taken"), "email"),
        (.password(reason: "it is taken"), "password"),
    ]

    @Test(arguments: faults) func faultsStandAtTheirField(_ fault: FirstAdministratorFault, _ field: String) {
        let attempt = SetupPage.Attempt(handle: "a\"da", email: "ada@mail.test", fault: fault)
        let page = SetupPage(place: place).form(token: "the-token", attempt)
        let text = text(page)
        #expect(page.status == 400)
        #expect(text.contains("id=\"\(field)-fault\">it is taken<") && text.components(of: "aria-invalid=\"") == 1)
        #expect(text.contains("value=\"a&quot;da\"") && text.contains("value=\"ada@mail.test\""))
        #expect(text.contains("value=\"the-token\"") && !text.contains("type=\"password\" value"))
    }

    /// One link, used by two at once: one of them becomes the administrator.
    final class Door: FirstAdministrator {
        private let made = Mutex<[FirstAdministratorRequest]>([])
        private let standing: AccountStanding

        init(_ standing: AccountStanding) { self.standing = standing }

        var requests: [FirstAdministratorRequest] { made.withLock { $0 } }

        func isOpen(token: String) async throws -> Bool { token == "right" && requests.isEmpty }

        func create(_ request: FirstAdministratorRequest, token: String) async throws -> AccountStanding {
            guard request.handle != "taken" else { throw FirstAdministratorFault.handle(reason: "it is taken") }
            return try made.withLock { made in
                guard made.isEmpty else { throw FirstAdministratorFault.closed }
                made.append(request)
                return standing
            }
        }
    }

    private func post(_ routes: SetupRoutes, _ body: String, site: String? = nil) async throws -> XRPCResponse {
        var headers = [(name: "content-type", value: "application/x-www-form-urlencoded")]
        if let site { headers.append((name: "sec-fetch-site", value: site)) }
        let head = RequestHead(method: "POST", target: "/setup", headers: headers)
        return try await routes.create(XRPCCall(head: head, caller: .anonymous, body: Array(body.utf8)))
    }

    @Test func theLinkWorksOnce() async throws {
        let door = Door(try person("ada.test"))
        let routes = SetupRoutes(place: place, administrator: door)
        func get(_ target: String) async throws -> Int {
            try await routes.show(XRPCCall(head: RequestHead(target: target), caller: .anonymous)).status
        }
        #expect(try await get("/setup") == 404)
        #expect(try await get("/setup?token=wrong") == 404)
        #expect(try await get("/setup?token=right") == 200)
        let fields = "&email=ada%40mail.test&password=Seven-Quiet-Rivers-7"
        #expect(try await post(routes, "token=wrong&handle=ada" + fields).status == 404)
        #expect(try await post(routes, "token=right&handle=taken" + fields).status == 400)
        #expect(try await post(routes, "token=right&handle=ada" + fields, site: "cross-site").status == 404)
        #expect(door.requests.isEmpty)
        let done = try await post(routes, "token=right&handle=+ada+" + fields, site: "same-origin")
        #expect(done.status == 200 && text(done).contains("You’re in, ada"))
        #expect(text(done).contains("kith account approve"))
        #expect(
            door.requests == [
                FirstAdministratorRequest(handle: "ada", email: "ada@mail.test", password: "Seven-Quiet-Rivers-7")
            ])
        #expect(try await post(routes, "token=right&handle=eve" + fields).status == 404)
        #expect(try await get("/setup?token=right") == 404)
    }
}

/// The page of new passwords.
struct PasswordPageTests {
    private final class Door: PasswordReset {
        private let made = Mutex<[String]>([])

        var passwords: [String] { made.withLock { $0 } }

        func isOpen(token: String) async throws -> Bool { token == "right" && passwords.isEmpty }

        func reset(token: String, to password: String, origin: String) async throws {
            guard try await isOpen(token: token) else { throw PasswordResetFault.closed }
            guard password.count > 9 else { throw PasswordResetFault.password(reason: "too <short>") }
            made.withLock { $0.append(password) }
        }
    }

    @Test func theLinkOfALetterWorksOnce() async throws {
        let door = Door()
        let place = PlaceDescription(
            title: "Lindenhof", address: "http://localhost:8080", authority: "localhost:8080", handleDomain: ".test",
            version: "kith 0")
        let routes = PasswordRoutes(place: place, door: door)
        func get(_ target: String) async throws -> XRPCResponse {
            try await routes.show(XRPCCall(head: RequestHead(target: target), caller: .anonymous))
        }
        func post(_ body: String, site: String? = nil) async throws -> XRPCResponse {
            var headers = [(name: "content-type", value: "application/x-www-form-urlencoded")]
            if let site { headers.append((name: "sec-fetch-site", value: site)) }
            let head = RequestHead(method: "POST", target: "/reset-password", headers: headers)
            return try await routes.reset(XRPCCall(head: head, caller: .anonymous, body: Array(body.utf8)))
        }
        #expect(try await get("/reset-password").status == 404)
        #expect(try await get("/reset-password?token=wrong").status == 404)
        #expect(try await get("/reset-password?token=right").status == 200)
        #expect(try await post("token=wrong&password=Seven-Quiet-Rivers-7").status == 404)
        #expect(try await post("token=right&password=Seven-Quiet-Rivers-7", site: "cross-site").status == 404)
        let weak = try await post("token=right&password=short")
        guard case .bytes(let bytes) = weak.content else { throw PasswordResetFault.closed }
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(weak.status == 400 && text.contains("too &lt;short&gt;") && !text.contains("value=\"short\""))
        #expect(door.passwords.isEmpty)
        #expect(try await post("token=right&password=Seven-Quiet-Rivers-7", site: "same-origin").status == 200)
        #expect(door.passwords == ["Seven-Quiet-Rivers-7"])
        #expect(try await get("/reset-password?token=right").status == 404)
        #expect(try await post("token=right&password=Seven-Quiet-Rivers-7").status == 404)
    }
}

extension String {
    /// How often a text stands in this one.
    fileprivate func components(of text: String) -> Int {
        var (count, rest) = (0, self[...])
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
