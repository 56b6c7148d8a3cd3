import ATProtocol
import Contracts
import Web

/// `/setup`: the first administrator makes themself.
struct SetupPage: Sendable {
    let place: PlaceDescription

    /// What was typed before, and what was wrong with it.
    struct Attempt: Sendable {
        var handle = ""
        var email = ""
        var fault: FirstAdministratorFault?
    }

    func form(token: String, _ attempt: Attempt = Attempt()) -> XRPCResponse {
        let content: HTML = """
            <h1>Welcome home</h1>
            <p class="lead">This server is yours and still empty. Make yourself its administrator; it takes a minute.</p>
            \(notice(attempt.fault))
            <form class="card" method="post" action="/setup">
            <input type="hidden" name="token" value="\(token)">
            \(handleField(attempt))
            \(emailField(attempt))
            \(passwordField(attempt.fault))
            <button type="submit">Make me the administrator</button>
            </form>
            """
        return place.frame.page("Set up", status: attempt.fault == nil ? 200 : 400, content)
    }

    func done(_ administrator: AccountStanding) -> XRPCResponse {
        let isWaiting = place.joining.contains(.approval)
        let approve: HTML? =
            isWaiting
            ? """
            <li><b>Let them in.</b><p>New accounts wait until a moderator says yes:</p>\
            <pre><code>kith account list --pending\nkith account approve NAME</code></pre></li>
            """ : nil
        let content: HTML = """
            <h1>You’re in, \(String(administrator.handle.string.prefix { $0 != "." }))</h1>
            <p class="lead">You are the administrator of \(place.title). The set-up link has done its work and is void.</p>
            <section class="card" aria-labelledby="you"><h2 id="you">You</h2>
            <dl class="facts"><dt>Handle</dt><dd>\(administrator.handle.string)</dd>
            <dt>Identity</dt><dd><code>\(administrator.did.string)</code></dd>
            <dt>Server</dt><dd>\(place.address)</dd></dl></section>
            <section class="card" aria-labelledby="next"><h2 id="next">What next</h2>
            <ol class="steps">
            <li><b>Sign in.</b><p>Any AT Protocol app will do: name <code>\(place.authority)</code> as the server, \
            then your handle and password.</p></li>
            <li><b>Bring somebody along.</b><p>On the machine that runs Kith:</p>\
            <pre><code>kith invite create</code></pre></li>
            \(approve)
            <li><b>Tell who you are.</b><p>The title, a summary, a contact and the rest are keys of the configuration: \
            see <code>kith.example.yaml</code>.</p></li>
            </ol></section>
            """
        return place.frame.page("Done", content)
    }

    /// For a link that was used, or is an old one.
    func closed() -> XRPCResponse {
        let content: HTML = """
            <h1>This link doesn’t work any more</h1>
            <p class="lead">A set-up link works once, and only the newest one does. As long as there is no administrator, the \
            server prints a new link each time it starts.</p>
            <p><a href="/">To the start page</a></p>
            """
        return place.frame.page("Set up", status: 404, content)
    }

    private func notice(_ fault: FirstAdministratorFault?) -> HTML? {
        fault == nil ? nil : "<p class=\"notice\" role=\"alert\">Almost. Please look at the field marked below.</p>"
    }

    private func handleField(_ attempt: Attempt) -> HTML {
        let reason: String? = if case .handle(let reason) = attempt.fault { reason } else { nil }
        return """
            <div class="field"><label for="handle">Your name here</label>
            <div class="joined"><input id="handle" name="handle" value="\(attempt.handle)" required maxlength="253" \
            autocomplete="username" autocapitalize="none" spellcheck="false"\(mark(reason, "handle"))\
            ><span>\(place.handleDomain)</span></div>
            \(tell(reason, "handle", "Letters, digits and hyphens, such as <code>ada</code>. Others find you by it."))</div>
            """
    }

    private func emailField(_ attempt: Attempt) -> HTML {
        let reason: String? = if case .email(let reason) = attempt.fault { reason } else { nil }
        return """
            <div class="field"><label for="email">E-mail</label>
            <input id="email" name="email" type="email" value="\(attempt.email)" required maxlength="254" \
            autocomplete="email"\(mark(reason, "email"))>
            \(tell(reason, "email", "Shown to nobody. You can sign in with it."))</div>
            """
    }

    private func passwordField(_ fault: FirstAdministratorFault?) -> HTML {
        let reason: String? = if case .password(let reason) = fault { reason } else { nil }
        return """
            <div class="field"><label for="password">Password</label>
            <input id="password" name="password" type="password" required minlength="10" maxlength="256" \
            autocomplete="new-password"\(mark(reason, "password"))>
            \(tell(reason, "password", "At least 10 characters, of three kinds: small, capital, digit, other."))</div>
            """
    }

    private func mark(_ reason: String?, _ field: String) -> HTML {
        reason == nil
            ? " aria-describedby=\"\(field)-hint\""
            : " aria-invalid=\"true\" aria-describedby=\"\(field)-fault \(field)-hint\" autofocus"
    }

    private func tell(_ reason: String?, _ field: String, _ hint: HTML) -> HTML {
        let fault: HTML? = reason.map { "<span class=\"fault\" id=\"\(field)-fault\">\($0)</span>" }
        return "\(fault)<span class=\"hint\" id=\"\(field)-hint\">\(hint)</span>"
    }
}
