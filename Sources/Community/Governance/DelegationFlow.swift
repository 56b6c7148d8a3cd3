package import ATProtocol

/// Who votes for whom on one proposal, from the delegations as they are at the counting.
///
/// A vote of one's own stands above every delegation. Who cast none is carried by whom they delegated to, or by whom that
/// one delegated to, and so on to the first with a vote. Nobody is carried through people who could not vote themselves,
/// now or when the proposal opened, and nobody in a circle without a vote is carried at all.
package struct DelegationFlow: Sendable {
    /// What becomes of one voter.
    package enum Part: Sendable, Hashable {
        /// Their own vote counts.
        case own
        /// The vote of this one counts for them.
        case carried(by: DID)
        /// They cast no vote and chose nobody.
        case silent
        /// Nobody on their way has voted.
        case unvoted
        /// They delegated to people who delegated back.
        case circle
        /// This one, on their way, cannot vote.
        case broken(at: DID)
        /// They delegated, but cannot vote any more.
        case ineligible
    }

    /// Of everybody in the electorate.
    package let parts: [DID: Part]
    private let delegations: [DID: DID]

    /// Follows every delegation once: time in proportion to the electorate.
    ///
    /// - Parameters:
    ///   - electorate: who could vote when the proposal opened.
    ///   - eligible: those who could vote if it opened now. A vote that was cast stands even so: who may remove members
    ///     could otherwise remove votes.
    ///   - voters: who cast a vote of their own.
    ///   - delegations: from each to whom they chose.
    package init(electorate: Set<DID>, eligible: Set<DID>, voters: Set<DID>, delegations: [DID: DID]) {
        var parts: [DID: Part] = [:]
        parts.reserveCapacity(electorate.count)
        for voter in electorate where voters.contains(voter) { parts[voter] = .own }
        for start in electorate where parts[start] == nil {
            var way: [DID] = []
            var onWay: Set<DID> = []
            var next = start
            var end: Part?
            while end == nil {
                if onWay.contains(next) {
                    end = .circle
                } else if !electorate.contains(next) || !eligible.contains(next) {
                    end = way.isEmpty ? (delegations[next] == nil ? Part.silent : .ineligible) : .broken(at: next)
                    if way.isEmpty { parts[next] = end }
                } else if let known = parts[next] {
                    end = known == .own ? .carried(by: next) : Self.passedOn(known)
                } else {
                    way.append(next)
                    onWay.insert(next)
                    if let further = delegations[next] {
                        next = further
                    } else {
                        end = .unvoted
                    }
                }
            }
            for voter in way { parts[voter] = end }
            if end == .unvoted, let last = way.last, delegations[last] == nil { parts[last] = Part.silent }
        }
        self.parts = parts
        self.delegations = delegations
    }

    /// What it means to have delegated to one of whom `part` is known.
    private static func passedOn(_ part: Part) -> Part { part == .silent ? .unvoted : part }

    /// From whom `voter` chose to whom voted; empty when nobody's vote but their own counts for them.
    ///
    /// - Parameter countMax: as many of the way as are told.
    package func way(from voter: DID, countMax: Int) -> [DID] {
        guard case .carried(let carrier) = parts[voter] else { return [] }
        var way: [DID] = []
        var last = voter
        while last != carrier, way.count < countMax, let next = delegations[last] {
            way.append(next)
            last = next
        }
        return way
    }
}
