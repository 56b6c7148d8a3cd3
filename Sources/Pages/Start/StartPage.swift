import ATProtocol
import Base
import Contracts
import Web

/// What the start page says of the place.
package struct PlaceDescription: Sendable {
    /// What stands between a stranger and an account.
    package struct Joining: OptionSet, Sendable, Hashable {
        package let rawValue: Int

        /// An invite code is needed.
        package static let invite = Joining(rawValue: 1)
        /// A moderator looks at it.
        package static let approval = Joining(rawValue: 2)

        package init(rawValue: Int) {
            self.rawValue = rawValue
        }
    }

    package var title: String
    package var summary: String?
    /// `https://example.com`, without a final slash.
    package var address: String
    /// Host and port, as people name a server in an app.
    package var authority: String
    /// With the dot before it.
    package var handleDomain: String
    package var joining: Joining
    package var contactEmail: String?
    package var privacyPolicy: String?
    package var termsOfService: String?
    /// Such as `kith 0.1.0`.
    package var version: String

    package init(title: String, address: String, authority: String, handleDomain: String, version: String) {
        self.title = title
        self.address = address
        self.authority = authority
        self.handleDomain = handleDomain
        self.version = version
        joining = []
    }

    /// The frame of its pages.
    package var frame: PageFrame {
        var links: [PageFrame.Link] = []
        if let termsOfService { links.append(.init(text: "Terms", address: termsOfService)) }
        if let privacyPolicy { links.append(.init(text: "Privacy", address: privacyPolicy)) }
        if let contactEmail { links.append(.init(text: "Contact", address: "mailto:" + contactEmail)) }
        return PageFrame(title: title, authority: authority, version: version, links: links)
    }
}

/// `/`: what this is, who is here, how to join.
struct StartPage: Sendable {
    let place: PlaceDescription

    /// People shown at most.
    static let peopleMax = 24

    func html(_ people: [AccountStanding]) -> XRPCResponse {
        let summary =
            place.summary
            ?? "A home on the open social web: people and communities here own what they say, and can take it with them."
        let content: HTML = """
            <h1>\(place.title)</h1>
            <p class="lead">\(summary)</p>
            <div class="pair">
            <section class="card" aria-labelledby="join"><h2 id="join">Join</h2>\(joining)</section>
            <section class="card" aria-labelledby="in"><h2 id="in">Come in</h2>
            <p>Use any AT Protocol app. When it asks for your hosting provider, or server, name this one:</p>
            <pre><code>\(place.authority)</code></pre>
            <p class="quiet">Your handle ends in <code>\(place.handleDomain)</code>, or is a domain of your own.</p></section>
            </div>
            <section class="card" aria-labelledby="communities"><h2 id="communities">Communities</h2>
            <p class="quiet">No public community has its home here yet.</p></section>
            <section class="card" aria-labelledby="people"><h2 id="people">People</h2>\(list(people))</section>
            """
        return place.frame.page(nil, keeping: .briefly, content)
    }

    /// For those who don't read HTML.
    func text() -> XRPCResponse {
        let text = """
            \(place.title)
            \(String(repeating: "=", count: place.title.count))

            This is a home on the open social web (\(place.version)): an AT Protocol personal data server.

                methods    \(place.address)/xrpc/
                about      \(place.address)/xrpc/com.atproto.server.describeServer
                health     \(place.address)/xrpc/_health

            """
        let headers: [XRPCResponse.Header] = [
            .init(name: "Vary", value: "Accept"), .init(name: "Cache-Control", value: "public, max-age=60"),
        ]
        return .text(text, headers: headers)
    }

    private var joining: HTML {
        switch place.joining {
        case [.invite, .approval]:
            "<p>New accounts are by invitation, and a moderator says welcome: ask somebody who is here for a code.</p>"
        case .invite: "<p>New accounts are by invitation: ask somebody who is here for a code.</p>"
        case .approval: "<p>Everybody may ask for an account; a moderator looks at each before it opens.</p>"
        default: "<p>Everybody may open an account here, from any AT Protocol app.</p>"
        }
    }

    private func list(_ people: [AccountStanding]) -> HTML {
        guard !people.isEmpty else { return "<p class=\"quiet\">Nobody has moved in yet.</p>" }
        return "<ul class=\"people\">\(people.prefix(Self.peopleMax).map(person))</ul>"
    }

    private func person(_ person: AccountStanding) -> HTML {
        let handle = person.handle.string
        let hue = person.did.string.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) & 0xffff } % 6
        let name = handle.hasSuffix(place.handleDomain) ? String(handle.dropLast(place.handleDomain.count)) : handle
        let rest = String(handle.dropFirst(name.count))
        return """
            <li><span class="face f\(String(hue))" aria-hidden="true">\(String(handle.prefix(1)))</span>\
            <span title="\(handle)">\(name)<i>\(rest)</i></span></li>
            """
    }
}
