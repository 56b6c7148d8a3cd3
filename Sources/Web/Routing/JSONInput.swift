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
            // Text that is JSON, with a value in it that no field may have, is told as other wrong values are.
            if case .invalidShape = error { throw .invalidRequest("invalid input: \(error)") }
            throw .invalidRequest("Malformed JSON body: \(error)")
        }
    }
}
