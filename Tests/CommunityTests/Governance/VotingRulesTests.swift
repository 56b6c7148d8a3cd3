import ATProtocol
import Base
import Community
import Testing

/// The rules of voting as values, against slow and obvious models of them.
@Suite struct VotingRulesTests {
    @Test func aShareOfTheElectorateIsRoundedUp() {
        for share in 1...100 {
            for count in 0...130 {
                let slow = (1...).first { $0 * 100 >= share * count } ?? 0
                let quorum = Quorum(share: share, of: count)
                #expect(quorum.needed == slow && quorum.share == share, "\(share) % of \(count)")
            }
        }
        #expect(Quorum(share: 100, of: .max).needed == .max)
    }

    @Test func theDigestOfAnElectorateIsOfWhoIsInIt() throws {
        let (anna, ben) = (try voter(1), try voter(2))
        #expect(ElectorateDigest.of([anna, ben, anna]) == ElectorateDigest.of([ben, anna]))
        #expect(ElectorateDigest.of([anna]) != ElectorateDigest.of([anna, ben]))
        // printf 'did:web:v01.test\ndid:web:v02.test\n' | sha256sum
        #expect(
            ElectorateDigest.of([ben, anna]) == "836aafffbc2e1b433655d7518392e0796cfbc6a19d541613291450cca01d83dc")
        #expect(
            ElectorateDigest.of([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }

    @Test func theSealIsTheOneThatTheLexiconDescribes() throws {
        let uri = "at://did:web:c.test/net.openfederation.community.proposal/3jzfcijpj2z2a"
        let salt = String(repeating: "0123456789abcdef", count: 2)
        // printf '%s\n%s\nfor\n%s' "$uri" did:web:v01.test "$salt" | sha256sum
        #expect(
            VoteSeal.commitment(proposal: uri, voter: try voter(1), vote: .inFavour, salt: salt)
                == "817b86706111e836136661e641e3c421cd3f5830467466dafbfbb81190539e0e")
        let ranking = Vote.ranking([try RecordKey(parsing: "b"), try RecordKey(parsing: "a")])
        #expect(ranking.text == "b,a")
        let votes: [Vote] = [.inFavour, .against, .objection(reason: "why"), ranking]
        let seals = Set(
            try votes.map { VoteSeal.commitment(proposal: uri, voter: try voter(1), vote: $0, salt: salt) })
        #expect(seals.count == votes.count)
    }

    // MARK: Majority

    @Test(arguments: 1...5) func theMajorityDecidesWhenTheQuorumIsReached(electorate: Int) {
        for needed in 1...(electorate + 1) {
            let poll = Poll(quorum: Quorum(needed: needed), electorateCount: electorate)
            for inFavour in 0...electorate {
                for against in 0...(electorate - inFavour) {
                    let count = count(inFavour, against)
                    let decision = SimpleMajority().decide(poll, count, isOver: false)
                    if inFavour + against >= needed {
                        #expect(decision.isApproved == (inFavour > against))
                        #expect(decision.isFinal)
                    } else if decision.isFinal {
                        // Over early: whatever else is voted, it can't pass.
                        #expect(!decision.isApproved)
                        for more in 0...(electorate - inFavour - against) {
                            let best = self.count(inFavour + more, against)
                            #expect(!SimpleMajority().decide(poll, best, isOver: true).isApproved)
                        }
                    } else {
                        #expect(inFavour + (electorate - inFavour - against) > against || against == 0)
                    }
                    let end = SimpleMajority().decide(poll, count, isOver: true)
                    #expect(end.isFinal)
                    #expect(end.isApproved == (inFavour + against >= needed && inFavour > against))
                }
            }
        }
    }

    /// Those who are carried may still vote against: they settle nothing before the quorum is reached.
    @Test func carriedVotesDontEndItEarly() {
        let poll = Poll(quorum: Quorum(needed: 5), electorateCount: 5)
        var count = count(0, 1)
        count.against.carried = 3
        #expect(!SimpleMajority().decide(poll, count, isOver: false).isFinal)
        count.inFavour.carried = 1
        #expect(SimpleMajority().decide(poll, count, isOver: false).isFinal)
    }

    @Test func aTieIsRejectedAndTooFewAreNone() {
        let poll = Poll(quorum: Quorum(needed: 2), electorateCount: 9)
        guard case .rejected(let why) = SimpleMajority().decide(poll, count(1, 1), isOver: false) else {
            return #expect(Bool(false), "a tie passes nothing")
        }
        #expect(why == "Rejected by a tie: 1 for, 1 against; 2 of 9 voted; it takes 2.")
        guard case .expired = SimpleMajority().decide(poll, count(1, 0), isOver: true) else {
            return #expect(Bool(false), "one of two is too few")
        }
    }

    // MARK: Consent

    @Test func consentIsTheAbsenceOfObjections() throws {
        let poll = Poll(quorum: Quorum(needed: 0), electorateCount: 3)
        #expect(Consent().decide(poll, VoteCount(), isOver: true).isApproved)
        #expect(!Consent().decide(poll, VoteCount(), isOver: false).isFinal)
        #expect(!Consent().decide(poll, count(2, 0), isOver: false).isFinal)
        #expect(Consent().decide(poll, count(3, 0), isOver: false).isApproved)
        var objected = count(2, 0)
        objected.add(.objection(reason: "cost"), isOwn: true)
        guard case .rejected = Consent().decide(poll, objected, isOver: false) else {
            return #expect(Bool(false), "all have voted, one objects")
        }
        let quorate = Poll(quorum: Quorum(needed: 2), electorateCount: 3)
        guard case .expired = Consent().decide(quorate, count(1, 0), isOver: true) else {
            return #expect(Bool(false), "one of two is too few")
        }
        #expect(throws: BallotFault.self) { try Consent().check(.objection(reason: " \n"), in: poll) }
        #expect(throws: BallotFault.self) { try Consent().check(.against, in: poll) }
        try Consent().check(.objection(reason: "cost"), in: poll)
    }

    @Test func votesFitTheirModel() throws {
        let (one, two) = (try RecordKey(parsing: "one"), try RecordKey(parsing: "two"))
        let ranked = Poll(quorum: Quorum(needed: 1), electorateCount: 3, options: [one, two])
        let plain = Poll(quorum: Quorum(needed: 1), electorateCount: 3)
        let rankings: [[RecordKey]] = [[], [one, one], [try RecordKey(parsing: "three")]]
        for ranking in rankings {
            #expect(throws: BallotFault.self) { try RankedChoice().check(.ranking(ranking), in: ranked) }
        }
        try RankedChoice().check(.ranking([two]), in: ranked)
        #expect(throws: BallotFault.self) { try RankedChoice().check(.inFavour, in: ranked) }
        try RankedChoice().check(.inFavour, in: plain)
        #expect(throws: BallotFault.self) { try SimpleMajority().check(.objection(reason: "no"), in: plain) }
        #expect(throws: BallotFault.self) { try SimpleMajority().check(.ranking([one]), in: plain) }
        for name in GovernanceModelName.allCases { #expect(name.model == nil || name.model?.name == name) }
    }

    private func count(_ inFavour: Int, _ against: Int) -> VoteCount {
        var count = VoteCount()
        count.inFavour.own = inFavour
        count.against.own = against
        return count
    }
}

extension Decision {
    fileprivate var isApproved: Bool { if case .approved = self { true } else { false } }
}

/// A person who may vote.
func voter(_ number: Int) throws -> DID {
    try DID(parsing: "did:web:v\(number < 10 ? "0" : "")\(number).test")
}
