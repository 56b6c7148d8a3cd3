package import ATProtocol

/// The collections by which a community's repository says what the community is.
package enum CommunityCollections {
    package static let settings = NSID(literal: "net.openfederation.community.settings")
    package static let profile = NSID(literal: "net.openfederation.community.profile")
    package static let role = NSID(literal: "net.openfederation.community.role")
    package static let member = NSID(literal: "net.openfederation.community.member")
    package static let attestation = NSID(literal: "net.openfederation.community.attestation")
    package static let application = NSID(literal: "net.openfederation.community.application")
    package static let proposal = NSID(literal: "net.openfederation.community.proposal")
    package static let vote = NSID(literal: "net.openfederation.community.vote")
    package static let delegation = NSID(literal: "net.openfederation.community.delegation")

    /// Every collection of this family begins so; one that isn't known here is written to by nobody.
    package static let prefix = "net.openfederation.community."

    /// The key of records that a community has one of.
    package static let selfKey = RecordKey(literal: "self")

    /// What a voting model protects unless its settings name others; the first two always.
    package static let protectedByDefault: Set<NSID> = [settings, role, member, profile, attestation]
    package static let alwaysProtected: Set<NSID> = [settings, role]
}
