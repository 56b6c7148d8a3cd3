import ATProtocol
import Base
import Foundation
import Testing

/// The interoperability vectors of the data model; silent where they are not beside the repository.
@Suite struct DataModelVectorTests {
    /// JSON objects as their texts: floats that are no data may be among them.
    private func cases(_ name: String) throws -> [[String: Any]] {
        guard let bytes = try SyntaxVectors.bytes("data-model/\(name).json") else { return [] }
        return try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [[String: Any]])
    }

    private func json(_ value: Any) throws -> [UInt8] {
        [UInt8](try JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed]))
    }

    @Test func encodingsAreByteExact() throws {
        for item in try cases("data-model-fixtures") {
            let object = try #require(item["json"])
            let value = try DataValue(json: json(object))
            let text = try #require(item["cbor_base64"] as? String)
            let expected = try #require(Base64.decode(text, padding: .optional))
            #expect(value.cbor() == expected)
            #expect(CID.of(dagCBOR: expected).string == item["cid"] as? String)
            #expect(try DataValue(cbor: expected) == value)
        }
    }

    @Test func validAndInvalid() throws {
        for item in try cases("data-model-valid") {
            let object = try #require(item["json"])
            let bytes = try json(object)
            #expect(throws: Never.self) { try RecordShape.check(DataValue(json: bytes)) }
        }
        for item in try cases("data-model-invalid") {
            let object = try #require(item["json"])
            let bytes = try json(object)
            #expect(throws: DataModelError.self, "\(item["note"] ?? "")") {
                try RecordShape.check(DataValue(json: bytes))
            }
        }
    }
}
