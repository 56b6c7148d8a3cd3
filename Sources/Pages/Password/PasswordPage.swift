import Contracts
import Web

/// `/reset-password`: whoever got a letter chooses a new password.
struct PasswordPage: Sendable {
    let place: PlaceDescription

    func form(token: String, fault: String? = nil) -> XRPCResponse {
        let mark: HTML =
            fault == nil
            ? " aria-describedby=\"password-hint\""
            : " aria-invalid=\"true\" aria-describedby=\"password-fault password-hint\" autofocus"
        let tell: HTML? = fault.map { "<span class=\"fault\" id=\"password-fault\">\($0)</span>" }
        let content: HTML = """
            <h1>A new password</h1>
            <p class="lead">Choose one, and sign in with it afterwards. All your sessions on other devices end.</p>
            <form class="card" method="post" action="/reset-password">
            <input type="hidden" name="token" value="\(token)">
            <div class="field"><label for="password">New password</label>
            <input id="password" name="password" type="password" required minlength="10" maxlength="256" \
            autocomplete="new-password"\(mark)>
            \(tell)<span class="hint" id="password-hint">At least 10 characters, of three kinds: small, capital, digit, \
            other.</span></div>
            <button type="submit">Set the password</button>
            </form>
            """
        return place.frame.page("New password", status: fault == nil ? 200 : 400, content)
    }

    func done() -> XRPCResponse {
        let content: HTML = """
            <h1>Your password is changed</h1>
            <p class="lead">Sign in again wherever you use \(place.title).</p>
            <p><a href="/">To the start page</a></p>
            """
        return place.frame.page("New password", content)
    }

    /// For a link that was used, or is too old.
    func closed() -> XRPCResponse {
        let content: HTML = """
            <h1>This link doesn’t work any more</h1>
            <p class="lead">A link for a new password works once and for an hour, and only the newest one does. Ask for another \
            in the app you sign in with.</p>
            <p><a href="/">To the start page</a></p>
            """
        return place.frame.page("New password", status: 404, content)
    }
}
