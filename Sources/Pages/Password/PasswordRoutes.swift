package import Contracts
package import Web

/// `/reset-password`.
///
/// A form of another site can't guess the token, and a browser that says where a request comes from is believed.
package struct PasswordRoutes: Sendable {
    let page: PasswordPage
    let door: any PasswordReset

    package init(place: PlaceDescription, door: any PasswordReset) {
        page = PasswordPage(place: place)
        self.door = door
    }

    /// The form's bytes; more is refused.
    private static let formByteCountMax = 8192

    /// Adds the page to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let failures = page.place.frame.failures
        routes.get(
            "/reset-password", access: .anyone, limits: [.perAddress(.accountRecovery)], failures: failures,
            handler: show)
        routes.post(
            "/reset-password", access: .anyone, limits: [.perAddress(.accountRecovery)],
            body: .bytes(Self.formByteCountMax), failures: failures, handler: reset)
    }

    @Sendable func show(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        guard let token = call.parameter("token"), try await door.isOpen(token: token) else { return page.closed() }
        return page.form(token: token)
    }

    @Sendable func reset(_ call: XRPCCall<Caller>) async throws -> XRPCResponse {
        let fields = try await call.formBody()
        func field(_ name: String) -> String { fields.first { $0.0 == name }?.1 ?? "" }
        let (token, site) = (field("token"), call.header("sec-fetch-site"))
        guard site == nil || site == "same-origin" || site == "none" else { return page.closed() }
        do {
            try await door.reset(token: token, to: field("password"), origin: call.remoteAddress)
            return page.done()
        } catch PasswordResetFault.closed {
            return page.closed()
        } catch PasswordResetFault.password(let reason) {
            return page.form(token: token, fault: reason)
        }
    }
}
