import ATProtocol

/// Reading of JSON bodies.
enum JSONInput {
    /// The media type of JSON bodies.
    static let mediaType = "application/json"

    /// The value of a JSON body.
    ///
    /// - Throws: `.invalidRequest` that says what is wrong.
    static func parse(_ bytes: [UInt8]) throws(WebFailure) -> DataValue {
        do throws(DataModelError) {
            return try DataValue(json: bytes, limits: DataLimits(sizeBytesMax: bytes.count))
        } catch {
            throw .invalidRequest("Malformed JSON body: \(error)")
        }
    }
}
