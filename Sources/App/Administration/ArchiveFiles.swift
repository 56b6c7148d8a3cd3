package import ATProtocol
import Base
import Foundation

/// Checks of archives that lie in files, hosted here or not.
package enum ArchiveFiles {
    /// Where the key that must have signed an archive comes from.
    package enum KeySource: Sendable, Hashable {
        /// This key.
        case given(PublicKey)
        /// The document of the DID that the archive names.
        case document
        /// None: the signature is left open.
        case none

        /// A key as people write it.
        ///
        /// - Throws: an error that says what is wrong with the text.
        package init(didKey text: String) throws {
            self = .given(try PublicKey(didKey: text))
        }
    }

    /// Verifies the archive in a file.
    ///
    /// - Parameter configuration: the instance that looks documents up.
    /// - Throws: `RepositoryError` for the first fault; `AdministrationError`.
    package static func verify(
        _ path: String, keys: KeySource, configuration: Configuration, report: @escaping ProgressReport
    ) async throws -> CommandOutput {
        let check = try ArchiveCheck(report: report)
        defer { check.remove() }
        try check.read(file: path)
        let owner = try check.owner()
        let key: PublicKey? =
            switch keys {
            case .given(let key): key
            case .none: nil
            case .document:
                try await lookingUp(configuration) { client in
                    try await RepositoryAdministration(Administration(client), report: report).signingKey(of: owner)
                }
            }
        return try check.verify(did: nil, key: key).output
    }

    /// Asks the instance of the configuration where there is one, else one in a folder that is thrown away.
    static func lookingUp<Result: Sendable>(
        _ configuration: Configuration, _ body: (AdministrationClient) async throws -> Result
    ) async throws -> Result {
        guard !DataDirectory(configuration.data).holdsInstance else {
            return try await AdministrationSession.run(configuration, body)
        }
        var passing = configuration
        passing.data =
            FileManager.default.temporaryDirectory.appendingPathComponent(
                "kith-look-up-" + Hex.encode(SystemRandomness().bytes(8))
            ).path
        defer { try? FileManager.default.removeItem(atPath: passing.data) }
        passing.database = .sqlite(path: passing.data + "/kith.sqlite")
        passing.blobs = .file(path: passing.data + "/blobs")
        passing.administrator = nil
        return try await AdministrationSession.run(passing, emptyFolder: .filled, body)
    }
}
