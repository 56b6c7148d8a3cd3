/// The type of media by its first bytes (https://mimesniff.spec.whatwg.org/), so that a wrong label does no harm.
enum MediaSignature {
    private static let signatures: [(offset: Int, bytes: [UInt8], type: String)] = [
        (0, [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], "image/png"),
        (0, [0xFF, 0xD8, 0xFF], "image/jpeg"),
        (0, Array("GIF87a".utf8), "image/gif"),
        (0, Array("GIF89a".utf8), "image/gif"),
        (4, Array("ftypavif".utf8), "image/avif"),
        (4, Array("ftypheic".utf8), "image/heic"),
        (4, Array("ftypqt".utf8), "video/quicktime"),
        (4, Array("ftyp".utf8), "video/mp4"),
        (0, [0x1A, 0x45, 0xDF, 0xA3], "video/webm"),
        (0, Array("%PDF-".utf8), "application/pdf"),
        (0, Array("OggS".utf8), "application/ogg"),
        (0, Array("ID3".utf8), "audio/mpeg"),
    ]

    /// The type that the bytes themselves tell, or nil.
    ///
    /// - Parameter head: the first bytes, some dozens.
    static func type(of head: [UInt8]) -> String? {
        if starts(head, at: 0, with: Array("RIFF".utf8)) {
            if starts(head, at: 8, with: Array("WEBP".utf8)) { return "image/webp" }
            if starts(head, at: 8, with: Array("WAVE".utf8)) { return "audio/wave" }
        }
        return signatures.first { starts(head, at: $0.offset, with: $0.bytes) }?.type
    }

    private static func starts(_ head: [UInt8], at offset: Int, with bytes: [UInt8]) -> Bool {
        head.count >= offset + bytes.count && head[offset..<offset + bytes.count].elementsEqual(bytes)
    }
}
