import ATProtocol
import Testing

@testable import Storage

@Suite struct S3LocationTests {
    @Test(arguments: [
        ("s3://blobs", "https://blobs.s3.us-east-1.amazonaws.com", "/k", ""),
        ("s3://blobs?region=eu-central-1", "https://blobs.s3.eu-central-1.amazonaws.com", "/k", ""),
        ("s3://my.blobs/", "https://s3.us-east-1.amazonaws.com", "/my.blobs/k", ""),
        ("s3://blobs/a/b/?endpoint=http://127.0.0.1:9000", "http://127.0.0.1:9000", "/blobs/k", "a/b/"),
        ("s3://blobs//a?endpoint=https%3A%2F%2Fs3.example.com%2F", "https://s3.example.com", "/blobs/k", "a/"),
        ("s3://blobs?endpoint=https://s3.example.com&style=host", "https://blobs.s3.example.com", "/k", ""),
        ("s3://blobs?", "https://blobs.s3.us-east-1.amazonaws.com", "/k", ""),
        ("s3://blobs?style=path", "https://s3.us-east-1.amazonaws.com", "/blobs/k", ""),
    ])
    func locations(_ text: String, origin: String, path: String, prefix: String) throws {
        let location = try S3Location(parsing: text)
        #expect(location.origin.string == origin)
        #expect(location.path(of: "k") == path)
        #expect(location.prefix == prefix)
        #expect(try S3Location(parsing: location.description) == location)
    }

    @Test(arguments: [
        "", "s3:", "s3://", "s3:bucket", "s3://ab", "s3://Bucket", "s3://-bucket", "s3://bu..cket", "s3://bu_cket",
        "s3://bucket/../x", "s3://bucket/ä", "s3://bucket/a b", "s3://bucket/%2e", "s3://bucket?x=1",
        "s3://AKID:secret@bucket", "s3://bucket?secret=AKID", "s3://bucket?endpoint=AKID",
        "s3://bucket?endpoint=ftp://a.example", "s3://bucket?endpoint=https://a.example/path",
        "s3://bucket?endpoint=https://u:AKID@a.example", "s3://bucket?region=", "s3://bucket?region=AKID/x",
        "s3://bucket?region=a&region=b", "s3://bucket?style=AKID", "s3://bucket?endpoint=%zz",
    ])
    func mistakes(_ text: String) {
        do {
            _ = try S3Location(parsing: text)
            Issue.record("\(text) was taken")
        } catch {
            #expect(!error.expected.contains("AKID"), "\(text): a mistake must not repeat what was written")
        }
    }
}
