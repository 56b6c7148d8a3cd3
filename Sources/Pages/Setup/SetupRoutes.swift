package import Contracts
package import Web

/// `/setup`.
///
/// A form of another site can't guess the token, and a browser that says where a request comes from is believed.
package struct SetupRoutes: Sendable {
    let page: SetupPage
    let administrator: any FirstAdministrator

    package init(place: PlaceDescription, administrator: any FirstAdministrator) {
        page = SetupPage(place: place)
        self.administrator = administrator
    }

    /// The form's bytes; more is refused.
    private static let formByteCountMax = 8192

    /// Adds the page to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let failures = page.place.frame.failures
        routes.get(
            "/setup", access: .anyone, limits: [.perAddress(.setup)], failures: failures, handler: show)
        routes.post(
            "/setup", access: .anyone, limits: [.perAddress(.setup)], body: .bytes(Self.formByteCountMax),
            failures: failures, handler: create)
    }

    @Sendable func show(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let token = call.parameter("token"), try await administrator.isOpen(token: token) else {
            return page.closed()
        }
        return page.form(token: token)
    }

    @Sendable func create(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let fields = try await call.formBody()
        func field(_ name: String) -> String { fields.first { $0.0 == name }?.1 ?? "" }
        let (token, site) = (field("token"), call.header("sec-fetch-site"))
        guard site == nil || site == "same-origin" || site == "none", try await administrator.isOpen(token: token)
        else { return page.closed() }
        let request = FirstAdministratorRequest(
            handle: field("handle").trimmed, email: field("email").trimmed, password: field("password"))
        do {
            return page.done(try await administrator.create(request, token: token))
        } catch FirstAdministratorFault.closed {
            return page.closed()
        } catch let fault as FirstAdministratorFault {
            return page.form(
                token: token, .init(handle: request.handle, email: request.email, fault: fault))
        }
    }
}

extension RateLimit {
    /// Calls of the set-up page from one address.
    fileprivate static let setup = RateLimit(name: "setup", points: 60, window: .seconds(300))
}

extension String {
    /// Without spaces at the ends, as fields are often pasted.
    fileprivate var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
