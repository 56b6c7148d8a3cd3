/// Who an account is, by DID or by handle.
///
/// - Spec: https://atproto.com/specs/lexicon (string format `at-identifier`)
package enum ATIdentifier: StringSyntax {
    case did(DID)
    case handle(Handle)

    package static let kind = SyntaxError.Kind.atIdentifier

    package init(parsing string: String) throws(SyntaxError) {
        try Self.check(string)
        if string.utf8.span.starts(with: "did:") {
            self = .did(try DID(parsing: string))
        } else {
            self = .handle(try Handle(parsing: string))
        }
    }

    package var string: String {
        switch self {
        case .did(let did): did.string
        case .handle(let handle): handle.string
        }
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        // A handle holds no colon, so the prefix decides.
        utf8.starts(with: "did:") ? DID.fault(in: utf8) : Handle.fault(in: utf8)
    }
}
