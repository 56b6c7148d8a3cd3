/// How a failure looks to the one who asked: an HTTP status, the error's name and one sentence for a person.
///
/// One middleware renders it in the dialect of the face (XRPC `{error, message}`, pages, …). Causes stay inside the server.
package struct WireFailure: Sendable, Hashable {
    /// HTTP status, 400…599.
    package var status: Int
    /// The error's name as the lexicon or specification spells it, e.g. `InvalidSwap`.
    package var error: String
    /// One sentence for a person. Never a cause, a path or a query.
    package var message: String
    /// Further response headers, e.g. `Retry-After`.
    package var headers: [Header]
    /// What else the body says, as its specification names it.
    package var details: [Detail]

    /// A further field of the body, e.g. `requiresProposal`.
    package struct Detail: Sendable, Hashable {
        /// What a field can hold.
        package enum Value: Sendable, Hashable {
            case boolean(Bool)
            case integer(Int64)
        }

        /// ASCII letters; neither `error` nor `message`.
        package var name: String
        package var value: Value

        package init(name: String, value: Value) {
            self.name = name
            self.value = value
        }
    }

    /// A response header: name and value, both ASCII.
    package struct Header: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(status: Int, error: String, message: String, headers: [Header] = [], details: [Detail] = []) {
        self.status = status
        self.error = error
        self.message = message
        self.headers = headers
        self.details = details
    }
}

/// An error that knows how it looks on the wire. What does not conform is answered with 500 and logged.
package protocol WireConvertible: Error {
    /// The failure as the caller may see it.
    var wire: WireFailure { get }
}
