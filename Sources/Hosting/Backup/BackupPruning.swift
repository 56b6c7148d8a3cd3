import Base

/// Removes old backups, and the pieces that no other backup needs.
///
/// First the mark says that they are gone, then their files go, then pieces. Broken off at any point it leaves every kept
/// backup whole; the next that makes or removes backups goes on where it ended.
package struct BackupPruning: Sendable {
    /// What was done.
    package struct Summary: Sendable, Hashable {
        /// Numbers of backups, in order.
        package var kept: [Int]
        package var removed: [Int]
        /// Pieces that went, what earlier interruptions left among them, and their bytes.
        package var pieceCount = 0
        package var sizeBytes: Int64 = 0
    }

    private let place: BackupPlace
    private let key: SealingKey
    private let recoveryKey: RecoveryKey?

    /// - Parameters:
    ///   - key: the one to which the backups are sealed.
    ///   - recoveryKey: opens the manifests of what is kept before anything goes; nil looks at them from outside.
    package init(_ place: BackupPlace, key: SealingKey, recoveryKey: RecoveryKey? = nil) {
        self.place = place
        self.key = key
        self.recoveryKey = recoveryKey
    }

    /// Removes all backups but the newest ones.
    ///
    /// - Parameters:
    ///   - count: how many stay; at least one.
    ///   - progress: called often.
    /// - Throws: `.damaged` when anything is wrong with a backup's file or a piece of a kept one is gone; nothing was removed
    ///   then. `.otherKey`, `.inUse`, `.notABackup`.
    package func run(
        keeping count: Int, progress: @escaping @Sendable (BackupProgress) -> Void
    ) async throws -> Summary {
        let files = place.files
        // Where there is nothing, nothing is made.
        try await files.open()
        await files.close()
        do {
            try await files.begin(key)
            let summary = try await remove(keeping: max(count, 1), files, progress)
            await files.close()
            return summary
        } catch {
            await files.close()
            throw error
        }
    }

    private func remove(
        keeping count: Int, _ files: any BackupFiles, _ progress: @Sendable (BackupProgress) -> Void
    ) async throws -> Summary {
        let chain = try await BackupChain.load(files, key)
        try chain.confirm()
        guard !chain.files.isEmpty else { throw BackupError.absent(number: nil) }
        let kept = chain.files.suffix(count)
        let needed = try await confirm(kept, chain, files)
        var summary = Summary(
            kept: kept.map(\.number), removed: chain.files.dropLast(kept.count).map(\.number))
        if let first = kept.first, !summary.removed.isEmpty {
            let mark = PruneMark(number: first.number - 1, digest: first.previous)
            try await files.replace(BackupNames.pruned, by: mark.encoded(key))
        }
        for path in chain.leftovers + summary.removed.map(BackupFile.path) { await files.remove(path: path) }
        let strangers = try await files.strangers(needed)
        let total = strangers.reduce(0) { $0 + $1.sizeBytes }
        for stranger in strangers {
            try Task.checkCancellation()
            try await files.renew()
            await files.remove(path: stranger.path)
            summary.pieceCount += 1
            summary.sizeBytes += stranger.sizeBytes
            progress(BackupProgress(.pieces, done: summary.sizeBytes, total: total))
        }
        return summary
    }

    /// Makes sure that what is kept is good, as far as can be told.
    /// - Returns: the paths of all its pieces.
    private func confirm(
        _ kept: ArraySlice<BackupFile>, _ chain: BackupChain, _ files: any BackupFiles
    ) async throws -> Set<String> {
        let reader = BackupReader(files: files, chain: chain)
        var needed: Set<String> = []
        for file in kept {
            try await files.renew()
            if let recoveryKey { _ = try await reader.manifest(file.number, recoveryKey) }
            for (name, _) in file.pieces {
                guard needed.insert(name.path).inserted else { continue }
                guard let size = await files.sizeBytes(name) else { throw BackupError.damaged(.missing(name.path)) }
                guard size == reader.pieces[name]?.sizeBytes else { throw BackupError.damaged(.changed(name.path)) }
            }
        }
        return needed
    }
}
