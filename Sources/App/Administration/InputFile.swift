import Foundation

/// A file that a command reads.
enum InputFile {
    /// Opens a file at its beginning.
    ///
    /// - Throws: `AdministrationError.file` with what keeps it from being read.
    static func open(_ path: String) throws(AdministrationError) -> (file: FileHandle, sizeBytes: Int) {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw .file(path: path, reason: "there is no such file")
        }
        guard !isFolder.boolValue else { throw .file(path: path, reason: "is a folder") }
        guard let file = FileHandle(forReadingAtPath: path), let size = try? file.seekToEnd(),
            (try? file.seek(toOffset: 0)) != nil
        else { throw .file(path: path, reason: "can't be read") }
        return (file, Int(size))
    }

    /// The next piece of a file, of at most `count` bytes; empty at its end.
    static func read(_ file: FileHandle, upToCount count: Int, path: String) throws(AdministrationError) -> Data {
        do { return try file.read(upToCount: count) ?? Data() } catch {
            throw .file(path: path, reason: "can't be read")
        }
    }
}
