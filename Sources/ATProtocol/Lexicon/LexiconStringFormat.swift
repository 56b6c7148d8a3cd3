/// What a string stands for.
///
/// - Spec: https://atproto.com/specs/lexicon (section "String Formats")
package enum LexiconStringFormat: String, Sendable, Hashable, CaseIterable {
    case atIdentifier = "at-identifier"
    case atURI = "at-uri"
    case cid
    case datetime
    case did
    case handle
    case nsid
    case tid
    case recordKey = "record-key"
    case uri
    case language

    /// The rule of the format that `utf8` breaks, or nil.
    func fault(in utf8: Span<UInt8>) -> StaticString? {
        switch self {
        case .atIdentifier: ATIdentifier.fault(in: utf8)
        case .atURI: ATURI.fault(in: utf8)
        case .cid: CIDString.fault(in: utf8)
        case .datetime: Datetime.fault(in: utf8)
        case .did: DID.fault(in: utf8)
        case .handle: Handle.fault(in: utf8)
        case .nsid: NSID.fault(in: utf8)
        case .tid: TID.fault(in: utf8)
        case .recordKey: RecordKey.fault(in: utf8)
        case .uri: URI.fault(in: utf8)
        case .language: LanguageTag.fault(in: utf8)
        }
    }
}
