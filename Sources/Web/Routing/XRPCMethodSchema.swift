package import ATProtocol

/// What a lexicon says of one method, as routing needs it (https://atproto.com/specs/lexicon).
package protocol XRPCMethodSchema: Sendable {
    /// Query, procedure or subscription.
    var kind: LexiconMethodKind { get }
    /// The media types of the input (`application/json`, `*/*`, …); empty when the method takes no body.
    var inputEncodings: [String] { get }
    /// The media types of the output; empty when the method answers without a body.
    var outputEncodings: [String] { get }
    /// Typed parameters with defaults from the pairs as sent; unknown names are ignored.
    ///
    /// - Throws: an error that names the field; `WireConvertible`, or else it's answered with 400.
    func parse(parameters: [(String, String)]) throws -> DataMap
    /// Checks a JSON body; gives it back with defaults filled in.
    ///
    /// - Throws: as `parse(parameters:)`.
    func checked(input: DataValue) throws -> DataValue
}

/// Where the router finds the schema of a method.
package protocol XRPCMethodCatalog: Sendable {
    /// The schema of `nsid`, or nil when no lexicon is known.
    func schema(for nsid: String) -> (any XRPCMethodSchema)?
}

/// A schema written by hand: for tests, and for methods whose lexicon isn't at hand.
package struct HandwrittenSchema: XRPCMethodSchema {
    package var kind: LexiconMethodKind
    package var inputEncodings: [String]
    package var outputEncodings: [String]
    private let parseParameters: @Sendable ([(String, String)]) throws -> DataMap
    private let validateInput: @Sendable (DataValue) throws -> Void

    /// By default parameters become strings, the first of a name wins, and every JSON body is valid.
    package init(
        kind: LexiconMethodKind,
        inputEncoding: String? = nil,
        outputEncoding: String? = "application/json",
        parse: (@Sendable ([(String, String)]) throws -> DataMap)? = nil,
        validate: @escaping @Sendable (DataValue) throws -> Void = { _ in }
    ) {
        self.kind = kind
        inputEncodings = inputEncoding.map { [$0] } ?? []
        outputEncodings = outputEncoding.map { [$0] } ?? []
        parseParameters =
            parse ?? { pairs in
                var map = DataMap()
                for (name, value) in pairs where map[name] == nil { map[name] = .string(value) }
                return map
            }
        validateInput = validate
    }

    package func parse(parameters: [(String, String)]) throws -> DataMap { try parseParameters(parameters) }

    package func checked(input: DataValue) throws -> DataValue {
        try validateInput(input)
        return input
    }
}

extension Dictionary: XRPCMethodCatalog where Key == String, Value == HandwrittenSchema {
    package func schema(for nsid: String) -> (any XRPCMethodSchema)? { self[nsid] }
}

extension LexiconMethod: XRPCMethodSchema {
    package var inputEncodings: [String] { input?.encodings.map(\.description) ?? [] }

    package var outputEncodings: [String] { output?.encodings.map(\.description) ?? [] }

    package func checked(input: DataValue) throws -> DataValue { try validate(input: input) }
}

extension LexiconCatalog: XRPCMethodCatalog {
    package func schema(for nsid: String) -> (any XRPCMethodSchema)? {
        (try? NSID(parsing: nsid)).flatMap { method($0) }
    }
}
