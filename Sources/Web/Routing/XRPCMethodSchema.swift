package import ATProtocol

/// What a lexicon says of one method, as routing needs it (https://atproto.com/specs/lexicon).
package protocol XRPCMethodSchema: Sendable {
    /// Query, procedure or subscription.
    var kind: XRPCMethodKind { get }
    /// The media type of the input (`application/json`, `*/*`, …); nil when the method takes no body.
    var inputEncoding: String? { get }
    /// The media type of the output; nil when the method answers without a body.
    var outputEncoding: String? { get }
    /// Typed parameters with defaults from the pairs as sent; unknown names are ignored.
    ///
    /// - Throws: an error that names the field; `WireConvertible`, or else it's answered with 400.
    func parse(parameters: [(String, String)]) throws -> DataMap
    /// Checks a JSON body.
    ///
    /// - Throws: as `parse(parameters:)`.
    func validate(input: DataValue) throws
}

/// The three kinds of XRPC methods.
package enum XRPCMethodKind: String, Sendable, Hashable {
    case query, procedure, subscription
}

/// Where the router finds the schema of a method.
package protocol XRPCMethodCatalog: Sendable {
    /// The schema of `nsid`, or nil when no lexicon is known.
    func schema(for nsid: String) -> (any XRPCMethodSchema)?
}

/// A schema written by hand: for tests, and for methods whose lexicon isn't at hand.
package struct HandwrittenSchema: XRPCMethodSchema {
    package var kind: XRPCMethodKind
    package var inputEncoding: String?
    package var outputEncoding: String?
    private let parseParameters: @Sendable ([(String, String)]) throws -> DataMap
    private let validateInput: @Sendable (DataValue) throws -> Void

    /// By default parameters become strings, the first of a name wins, and every JSON body is valid.
    package init(
        kind: XRPCMethodKind,
        inputEncoding: String? = nil,
        outputEncoding: String? = "application/json",
        parse: (@Sendable ([(String, String)]) throws -> DataMap)? = nil,
        validate: @escaping @Sendable (DataValue) throws -> Void = { _ in }
    ) {
        self.kind = kind
        self.inputEncoding = inputEncoding
        self.outputEncoding = outputEncoding
        parseParameters =
            parse ?? { pairs in
                var map = DataMap()
                for (name, value) in pairs where map[name] == nil { map[name] = .string(value) }
                return map
            }
        validateInput = validate
    }

    package func parse(parameters: [(String, String)]) throws -> DataMap { try parseParameters(parameters) }

    package func validate(input: DataValue) throws { try validateInput(input) }
}

extension Dictionary: XRPCMethodCatalog where Key == String, Value == HandwrittenSchema {
    package func schema(for nsid: String) -> (any XRPCMethodSchema)? { self[nsid] }
}
