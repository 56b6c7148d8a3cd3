import ATProtocol
import Base
package import Web

/// What all pages share: head, mark, footer, and the headers that keep them harmless.
package struct PageFrame: Sendable {
    /// A link in the footer.
    package struct Link: Sendable, Hashable {
        package var text: String
        package var address: String

        package init(text: String, address: String) {
            self.text = text
            self.address = address
        }
    }

    /// What the place is called.
    package var title: String
    /// Its host, and port where it has one of its own.
    package var authority: String
    /// Which program it runs.
    package var version: String
    package var links: [Link]

    package init(title: String, authority: String, version: String, links: [Link] = []) {
        self.title = title
        self.authority = authority
        self.version = version
        self.links = links
    }

    /// How long an answer may be kept by others.
    package enum Keeping: Sendable {
        /// A minute, by anybody.
        case briefly
        /// Not at all: it was made for one person.
        case never
    }

    /// A whole page.
    ///
    /// - Parameter name: of the page itself; nil for the start page.
    package func page(_ name: String?, status: Int = 200, keeping: Keeping = .never, _ content: HTML) -> XRPCResponse {
        let caption = name.map { "\($0) · \(title)" } ?? title
        let document: HTML = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width,initial-scale=1">
            <title>\(caption)</title>
            <link rel="icon" href="data:,">
            <style>\(Self.style)</style>
            </head>
            <body>
            <div class="wrap">
            <header class="top">\(Self.mark)<a href="/">\(name == nil ? authority : title)</a></header>
            <main>
            \(content)
            </main>
            <footer>\(links.map { "<a href=\"\($0.address)\">\($0.text)</a>" as HTML })<span>\(version)</span></footer>
            </div>
            </body>
            </html>

            """
        return .text(
            document.markup, contentType: "text/html; charset=utf-8", status: status, headers: Self.headers(keeping))
    }

    /// A failure as a page, for the routes that are pages.
    package var failures: FailureDialect {
        let frame = self
        return FailureDialect { failure in
            let content: HTML = "<h1>That didn’t work</h1><p class=\"lead\">\(failure.message)</p>"
            let page = frame.page("That didn’t work", status: failure.status, content)
            guard case .bytes(let bytes) = page.content else { return ("text/plain", []) }
            return ("text/html; charset=utf-8", bytes)
        }
    }

    private static func headers(_ keeping: Keeping) -> [XRPCResponse.Header] {
        let caching =
            switch keeping {
            case .briefly: "public, max-age=60"
            case .never: "no-store"
            }
        return [
            .init(name: "Content-Security-Policy", value: policy), .init(name: "Referrer-Policy", value: "no-referrer"),
            .init(name: "X-Content-Type-Options", value: "nosniff"), .init(name: "Cache-Control", value: caching),
            .init(name: "Cross-Origin-Opener-Policy", value: "same-origin"), .init(name: "Vary", value: "Accept"),
        ]
    }

    /// Nothing is loaded, nothing runs, forms lead nowhere else, and only this very style sheet counts.
    static let policy: String = {
        let digest = CID.of(raw: Array(Style.sheet.utf8)).bytes.suffix(32)
        return "default-src 'none'; style-src 'sha256-\(Base64.encode(Array(digest)))'; img-src data:; "
            + "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    }()

    private static let style = HTML(stringLiteral: Style.sheet)

    /// Two rings that hold each other.
    private static let mark: HTML = """
        <svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="3" aria-hidden="true">\
        <circle cx="12" cy="16" r="8"/><path d="M20 8a8 8 0 1 1-3.6 15.1M16.4 8.9A8 8 0 0 1 20 8"/></svg>
        """
}
