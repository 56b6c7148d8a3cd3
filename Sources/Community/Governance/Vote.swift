package import ATProtocol
import Base
import Crypto

/// What a voter says.
package enum Vote: Sendable, Hashable {
    case inFavour
    case against
    /// With the reason, without which it is none.
    case objection(reason: String)
    /// The ids of options, the best first; those left out come last together.
    case ranking([RecordKey])

    /// What stands for the vote in the text that is sealed: `for`, `against`, `object`, or the ids joined by commas.
    package var text: String {
        switch self {
        case .inFavour: "for"
        case .against: "against"
        case .objection: "object"
        case .ranking(let ids): ids.map(\.string).joined(separator: ",")
        }
    }
}

/// How a vote of a secret ballot is sealed until it is opened.
package enum VoteSeal {
    /// The shortest and the longest salt, in bytes; the shortest is 16 random bytes in hexadecimal.
    package static let saltSizeBytesMin = 32
    package static let saltSizeBytesMax = 128

    /// Lower-case hexadecimal SHA-256 of the proposal's URI, the voter's DID, the vote and the salt, one line each.
    ///
    /// None of the first three can hold a line break, so that no two votes share a text.
    /// - Parameter proposal: as everybody writes it: `at://<community>/net.openfederation.community.proposal/<rkey>`.
    /// - Spec: `net.openfederation.community.voteOnProposal`, `commitment`.
    package static func commitment(proposal: String, voter: DID, vote: Vote, salt: String) -> String {
        let text = "\(proposal)\n\(voter.string)\n\(vote.text)\n\(salt)"
        return Hex.encode(SHA256.hash(data: Array(text.utf8)))
    }
}
