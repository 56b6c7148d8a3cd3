extension Committer {
    /// How the bodies of one transaction went.
    private enum Outcome {
        /// All ran, or failed alone: the transaction can be committed.
        case ready
        /// A body broke its promise, or failed after its end: nothing may be kept, all have to run again, one by one.
        case replay
        /// The engine gave up the transaction.
        case lost(StorageError)
    }

    /// Runs and commits `writes`, in one transaction or, where they take too long, in several; settles each.
    func process(_ writes: [PendingWrite], on connection: any WriteConnection) {
        var rest = writes[...]
        var mustCheck = false
        while !rest.isEmpty {
            let started = clock.now
            do {
                try connection.begin()
            } catch {
                fail(rest, error)
                return
            }
            // Others may have come while this group waited for its turn.
            if !mustCheck { rest += takeMore(limits.groupMax - rest.count) }
            let began = clock.now
            var (outcome, ran) = runBodies(rest, on: connection, started: began, mustCheck: mustCheck)
            let executed = clock.now
            if case .ready = outcome {
                let times = GroupTimes(waiting: began - started, executing: executed - began)
                outcome = commit(rest.prefix(ran), on: connection, times, from: executed)
            }
            switch outcome {
            case .replay:
                connection.rollback()
                count { $0.groupsReplayed += 1 }
                mustCheck = true
                continue
            case .lost(let error):
                connection.rollback()
                fail(rest.prefix(ran), error)
            case .ready: break
            }
            rest = rest.dropFirst(ran)
        }
    }

    /// Runs bodies in order until all ran, the group's time is up, or the transaction can't go on.
    /// - Returns: how it went, and how many bodies were started.
    private func runBodies(
        _ writes: ArraySlice<PendingWrite>, on connection: any WriteConnection, started: ContinuousClock.Instant,
        mustCheck: Bool
    ) -> (Outcome, Int) {
        var ran = 0
        var asked = 0
        for write in writes {
            if !mustCheck, asked <= ran {
                // Together for all that follow each other and have questions.
                let askers = writes.dropFirst(ran).prefix { !$0.questions.isEmpty }
                for asker in askers { connection.ask(asker.questions) }
                asked = ran + askers.count
            }
            ran += 1
            let isolation: PendingWrite.Isolation = mustCheck ? .checked : write.isolation
            write.failure = nil
            do {
                try connection.beginItem(isolation)
                try write.run(connection.scope)
                try connection.endItem(isolation)
            } catch {
                if connection.hasFailedBehind || (isolation == .promise && connection.itemChanged) {
                    return (.replay, ran)
                }
                write.failure = error
                do {
                    try connection.undoItem(isolation)
                } catch let lost {
                    if connection.hasFailedBehind { return (.replay, ran) }
                    return (.lost(error as? StorageError ?? lost), ran)
                }
            }
            if connection.wantsCommit || clock.now - started > limits.groupDurationMax { break }
        }
        return (.ready, ran)
    }

    /// How long a group took before its commit.
    private struct GroupTimes {
        let waiting: Duration
        let executing: Duration
    }

    private func commit(
        _ writes: ArraySlice<PendingWrite>, on connection: any WriteConnection, _ times: GroupTimes,
        from executed: ContinuousClock.Instant
    ) -> Outcome {
        do {
            try connection.commit()
        } catch {
            return connection.hasFailedBehind ? .replay : .lost(error)
        }
        let committing = clock.now - executed
        let actions = connection.takeActions()
        let failed = writes.count { $0.failure != nil }
        count { statistics in
            statistics.groups += 1
            statistics.items += writes.count - failed
            statistics.itemsFailed += failed
            statistics.largestGroup = max(statistics.largestGroup, writes.count)
            statistics.waiting += times.waiting
            statistics.executing += times.executing
            statistics.committing += committing
            statistics.longestCommit = max(statistics.longestCommit, committing)
        }
        for action in actions { action() }
        for write in writes { write.settle(nil) }
        return .ready
    }

    /// Tells every write of a group that could not be committed, those that failed by themselves included: what they
    /// saw of the others never came to be.
    private func fail(_ writes: ArraySlice<PendingWrite>, _ error: StorageError) {
        count { $0.groupsFailed += 1 }
        for write in writes { write.settle(error) }
    }
}
