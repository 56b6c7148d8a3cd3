extension Committer {
    /// How the bodies of one transaction went.
    private enum Outcome {
        /// All ran, or failed alone: the transaction can be committed.
        case ready
        /// A body broke its promise: nothing may be kept, all have to run again under savepoints.
        case replay
        /// The engine gave up the transaction.
        case lost(StorageError)
    }

    /// Runs and commits `writes`, in one transaction or, where they take too long, in several; settles each.
    func process(_ writes: [PendingWrite], on connection: any WriteConnection) {
        var rest = writes[...]
        var mustProtect = false
        while !rest.isEmpty {
            let started = clock.now
            do {
                try connection.begin()
            } catch {
                fail(rest, error)
                return
            }
            let (outcome, ran) = runBodies(rest, on: connection, started: started, mustProtect: mustProtect)
            let executed = clock.now
            switch outcome {
            case .replay:
                connection.rollback()
                count { $0.groupsReplayed += 1 }
                mustProtect = true
                continue
            case .lost(let error):
                connection.rollback()
                fail(rest.prefix(ran), error)
            case .ready:
                commit(rest.prefix(ran), on: connection, executing: executed - started, from: executed)
            }
            rest = rest.dropFirst(ran)
        }
    }

    /// Runs bodies in order until all ran, the group's time is up, or the transaction can't go on.
    /// - Returns: how it went, and how many bodies were started.
    private func runBodies(
        _ writes: ArraySlice<PendingWrite>, on connection: any WriteConnection, started: ContinuousClock.Instant,
        mustProtect: Bool
    ) -> (Outcome, Int) {
        var ran = 0
        for write in writes {
            ran += 1
            let isolation: PendingWrite.Isolation = mustProtect ? .savepoint : write.isolation
            write.failure = nil
            do {
                try connection.beginItem(isolation)
                try write.run(connection.scope)
                try connection.endItem(isolation)
            } catch {
                if isolation == .promise, connection.itemChanged { return (.replay, ran) }
                write.failure = error
                do {
                    try connection.undoItem(isolation)
                } catch let lost {
                    return (.lost(error as? StorageError ?? lost), ran)
                }
            }
            if clock.now - started > limits.groupDurationMax { break }
        }
        return (.ready, ran)
    }

    private func commit(
        _ writes: ArraySlice<PendingWrite>, on connection: any WriteConnection, executing: Duration,
        from executed: ContinuousClock.Instant
    ) {
        do {
            try connection.commit()
        } catch {
            connection.rollback()
            fail(writes, error)
            return
        }
        let committing = clock.now - executed
        let actions = connection.takeActions()
        let failed = writes.count { $0.failure != nil }
        count { statistics in
            statistics.groups += 1
            statistics.items += writes.count - failed
            statistics.itemsFailed += failed
            statistics.largestGroup = max(statistics.largestGroup, writes.count)
            statistics.executing += executing
            statistics.committing += committing
            statistics.longestCommit = max(statistics.longestCommit, committing)
        }
        for action in actions { action() }
        for write in writes { write.settle(nil) }
    }

    /// Tells every write of a group that could not be committed, those that failed by themselves included: what they
    /// saw of the others never came to be.
    private func fail(_ writes: ArraySlice<PendingWrite>, _ error: StorageError) {
        count { $0.groupsFailed += 1 }
        for write in writes { write.settle(error) }
    }
}
