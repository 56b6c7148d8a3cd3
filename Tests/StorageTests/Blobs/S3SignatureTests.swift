import Base
import Testing

@testable import Storage

/// The examples Amazon publishes with its description of Signature Version 4 for S3.
@Suite struct S3SignatureTests {
    private let signature = S3Signature(
        credentials: S3Credentials(
            accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region: "us-east-1")
    private let authority = "examplebucket.s3.amazonaws.com"
    /// 2013-05-24T00:00:00Z.
    private let moment = Timestamp(seconds: 1_369_353_600)

    private func sign(
        _ method: String, _ path: String, query: [S3Signature.Pair] = [], headers: [S3Signature.Pair] = [],
        body: String = ""
    ) -> (signature: String, signedHeaders: String) {
        let sent = signature.headers(
            method, authority: authority, path: path, query: query, headers: headers,
            bodyHash: S3Signature.hash(Array(body.utf8)), at: moment)
        let parts = (sent.last { $0.name == "authorization" }?.value ?? "").split(separator: ", ").map(String.init)
        #expect(
            parts[0] == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request")
        return (String(parts[2].dropFirst("Signature=".count)), String(parts[1].dropFirst("SignedHeaders=".count)))
    }

    @Test func getWithARange() {
        let signed = sign("GET", "/test.txt", headers: [("Range", "bytes=0-9")])
        #expect(signed.signedHeaders == "host;range;x-amz-content-sha256;x-amz-date")
        #expect(signed.signature == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    }

    @Test func putWithABody() {
        let signed = sign(
            "PUT", "/test$file.text",
            headers: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            body: "Welcome to Amazon S3.")
        #expect(signed.signature == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    }

    @Test func aQueryWithoutAValue() {
        let signed = sign("GET", "/", query: [("lifecycle", "")])
        #expect(signed.signature == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    }

    @Test func aList() {
        let signed = sign("GET", "/", query: [("prefix", "J"), ("max-keys", "2")])
        #expect(signed.signature == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    }

    @Test func aPresignedAddress() {
        let address = signature.presigned(
            authority: authority, path: "/test.txt", query: [], lifetime: .seconds(86400), at: moment)
        #expect(
            address == """
                /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1\
                %2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404
                """)
    }

    @Test func credentialsShowNothing() {
        let credentials = S3Credentials(accessKey: "AKID", secretKey: "hidden", sessionToken: "veiled")
        var dumped = ""
        dump(credentials, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped] {
            #expect(!text.contains("AKID") && !text.contains("hidden") && !text.contains("veiled"))
        }
    }
}
