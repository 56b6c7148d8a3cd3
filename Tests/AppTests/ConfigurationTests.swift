import ATProtocol
import Testing

@testable import App

/// Flags, then environment, then file, then defaults.
struct ConfigurationTests {
    private func read(
        flags: [String: String] = [:], environment: [String: String] = [:], yaml: String = ""
    ) throws -> Configuration {
        try Configuration(layers: [
            ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment),
            ConfigurationLayer(yaml: yaml, name: "kith.yaml"),
        ])
    }

    private func mistakes(
        flags: [String: String] = [:], environment: [String: String] = [:], yaml: String = ""
    ) -> [String] {
        do throws(ConfigurationMistakes) {
            _ = try Configuration(layers: [
                ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment),
                ConfigurationLayer(yaml: yaml, name: "kith.yaml"),
            ])
            return []
        } catch {
            return error.mistakes.map(\.description)
        }
    }

    @Test func defaults() throws {
        let configuration = try read()
        #expect(configuration.host == "127.0.0.1")
        #expect(configuration.port == 8080)
        #expect(configuration.name.authority == "localhost:8080")
        #expect(configuration.name.url == "http://localhost:8080")
        #expect(configuration.name.did?.string == "did:web:localhost%3A8080")
        #expect(configuration.data == "./kith-data")
        #expect(configuration.database == .sqlite(path: "./kith-data/kith.sqlite"))
        #expect(configuration.blobs == .file(path: "./kith-data/blobs"))
        #expect(configuration.handleDomains == [".test"])
        #expect(configuration.requiresInvite && configuration.requiresApproval)
        #expect(configuration.limitsRates && configuration.isOutboundGuarded)
        #expect(!configuration.isDevelopment && !configuration.showsMetrics)
        #expect(configuration.directory == nil && configuration.administrator == nil && configuration.crawlers.isEmpty)
        #expect(configuration.blobSizeBytesMax == 100_000_000)
        #expect(configuration.blobAccountSizeBytesMax == 10_000_000_000)
        #expect(configuration.firehose.ageMax == .seconds(72 * 3600))
        #expect(configuration.roles == [.all])
    }

    @Test func theFirstLayerThatHasAKeyWins() throws {
        let yaml = "port: 1003\nhost: 10.0.0.3\nlog:\n  level: error\n"
        let environment = ["KITH_PORT": "1002", "KITH_HOST": "10.0.0.2"]
        let all = try read(flags: ["port": "1001"], environment: environment, yaml: yaml)
        #expect(all.port == 1001)
        #expect(all.host == "10.0.0.2")
        #expect(all.logLevel == .error)
    }

    @Test func anEmptyVariableIsNotSet() throws {
        #expect(try read(environment: ["KITH_PORT": ""], yaml: "port: 9000").port == 9000)
    }

    @Test func developmentRelaxesWhatIsNotSet() throws {
        let relaxed = try read(environment: ["KITH_DEVELOPMENT": "true", "KITH_INVITE_REQUIRED": "true"])
        #expect(relaxed.requiresInvite)
        #expect(!relaxed.requiresApproval && !relaxed.limitsRates && !relaxed.isOutboundGuarded)
        #expect(relaxed.showsMetrics)
    }

    @Test func thePublicNameMakesAddressIdentityAndHandles() throws {
        let plain = try read(environment: ["KITH_HOSTNAME": "Kith.Example.org"])
        #expect(plain.name.url == "https://kith.example.org")
        #expect(plain.name.did?.string == "did:web:kith.example.org")
        #expect(plain.handleDomains == [".kith.example.org"])
        #expect(try read(flags: ["port": "9000"]).name.authority == "localhost:9000")
        let other = try read(environment: ["KITH_HANDLE_DOMAINS": ".one.example, two.example"])
        #expect(other.handleDomains == [".one.example", ".two.example"])
    }

    @Test func sizesDurationsAndLists() throws {
        let configuration = try read(
            yaml: """
                blobs:
                  size-max: 5 MiB
                firehose: {age-max: 2d, size-max: 1GB, memory: 2000000}
                crawlers:
                  - https://relay.example
                  - https://other.example/
                """)
        #expect(configuration.blobSizeBytesMax == 5 << 20)
        #expect(configuration.firehose.ageMax == .seconds(2 * 86400))
        #expect(configuration.firehose.sizeBytesMax == 1_000_000_000)
        #expect(configuration.firehose.memoryBytes == 2_000_000)
        #expect(configuration.crawlers.map(\.string) == ["https://relay.example", "https://other.example"])
    }

    @Test func anAccountMayHoldAtLeastOneBlob() {
        let found = mistakes(environment: ["KITH_BLOBS_SIZE_MAX": "5 MB", "KITH_BLOBS_ACCOUNT_SIZE_MAX": "4 MB"])
        #expect(found.count == 1 && found[0].contains("is less than blobs.size-max"), "\(found)")
    }

    @Test func allMistakesAreToldAtOnce() {
        let found = mistakes(
            flags: ["port": "http"],
            environment: [
                "KITH_INVITE_REQUIRED": "perhaps", "KITH_PLC_URL": "plc.directory", "KITH_DATABASE_URL": "mysql:x",
                "KITH_BLOBS_URL": "s3:bucket", "KITH_HOSTNAME": "https://example.org/", "KITH_ROLES": "outbox",
            ],
            yaml: """
                log:
                  level: loud
                  lvel: info
                blobs:
                  size-max: 1 kB
                firehose:
                  age-max: 72
                prot: 8080
                title: [a, b]
                host: {a: b}
                """)
        let expected = [
            "kith.yaml:3: there is no key log.lvel; is log.level meant?",
            "kith.yaml:8: there is no key prot; is port meant?", "kith.yaml:10: host holds a value, not a section",
            "--port: “http” is not a whole number, 0…65535",
            "KITH_INVITE_REQUIRED: “perhaps” is not true or false",
            "KITH_DATABASE_URL: is not of the form sqlite:PATH or postgresql://…",
            "KITH_BLOBS_URL: is not of the form s3://BUCKET/PREFIX?endpoint=URL&region=NAME",
            "KITH_ROLES: “outbox” is not one of all, web, identity, repositories, communities, blobs, firehose, pages, worker",
            "kith.yaml:2: log.level: “loud” is not one of trace, debug, info, notice, warning, error",
            "kith.yaml:9: title: holds one value, not a list",
        ]
        for line in expected { #expect(found.contains(line), "\(line) is missing in \(found)") }
        #expect(found.contains { $0.hasPrefix("KITH_HOSTNAME: ") })
        #expect(found.contains { $0.hasPrefix("KITH_PLC_URL: ") })
        #expect(found.contains { $0.hasPrefix("kith.yaml:5: blobs.size-max: “1 kB” is not a size") })
        #expect(found.contains { $0.hasPrefix("kith.yaml:7: firehose.age-max: “72” is not a duration") })
        #expect(found.count == expected.count + 4)
    }

    @Test func aBucketNeedsItsKeys() throws {
        let url = "s3://blobs/kith?endpoint=http://10.0.0.2:9000&region=here"
        let keys = ["KITH_BLOBS_ACCESS_KEY": "AKID", "KITH_BLOBS_SECRET_KEY": "Never-Shown-Anywhere"]
        #expect(mistakes(environment: ["KITH_BLOBS_URL": url]).count == 2)
        let whole = try read(environment: keys.merging(["KITH_BLOBS_URL": url]) { $1 })
        #expect(whole.blobs.description == url && whole.bucket.secretKey?.value == "Never-Shown-Anywhere")
        let redirect = keys.merging(["KITH_BLOBS_REDIRECT": "true", "KITH_HOSTNAME": "kith.example.org"]) { $1 }
        #expect(
            mistakes(environment: redirect.merging(["KITH_BLOBS_URL": url]) { $1 })
                == ["KITH_BLOBS_REDIRECT: needs a bucket that is reached by https"])
        #expect(mistakes(environment: redirect) == ["KITH_BLOBS_REDIRECT: needs blobs in a bucket"])
        #expect(mistakes(environment: redirect.merging(["KITH_BLOBS_URL": "s3://blobs"]) { $1 }).isEmpty)
        // Whoever writes the keys into the address finds them in no complaint.
        for wrong in ["s3://AKID:Never-Shown@blobs", "s3://blobs?secret=Never-Shown"] {
            let told = mistakes(environment: keys.merging(["KITH_BLOBS_URL": wrong]) { $1 })
            #expect(told.count == 1 && told.allSatisfy { !$0.contains("Never-Shown") && !$0.contains("AKID") })
        }
    }

    @Test func brokenYAMLIsAMistake() {
        #expect(mistakes(yaml: "a: [1").count == 1)
        #expect(mistakes(yaml: "- a\n- b") == ["kith.yaml:1: the file is not a mapping of keys"])
        #expect(mistakes(yaml: "").isEmpty)
        #expect(mistakes(yaml: "# only a comment\n").isEmpty)
    }

    @Test func anAdministratorIsNamedWhollyOrNotAtAll() throws {
        let whole = try read(environment: [
            "KITH_BOOTSTRAP_ADMIN_HANDLE": "ada", "KITH_BOOTSTRAP_ADMIN_EMAIL": "ada@example.org",
            "KITH_BOOTSTRAP_ADMIN_PASSWORD": "Three-Blind-Mice-3",
        ])
        #expect(whole.administrator?.handle == "ada")
        let half = mistakes(environment: ["KITH_BOOTSTRAP_ADMIN_HANDLE": "ada"])
        #expect(half.count == 2)
        // A password alone is the operator's.
        let password = try read(environment: ["KITH_BOOTSTRAP_ADMIN_PASSWORD": "Three-Blind-Mice-3"])
        #expect(password.administrator == nil && password.operatorPassword != nil)
    }

    @Test func secretsAreNeverShown() throws {
        let secret = "Three-Blind-Mice-3-and-a-long-tail-behind"
        let environment = [
            "KITH_BOOTSTRAP_ADMIN_HANDLE": "ada", "KITH_BOOTSTRAP_ADMIN_EMAIL": "ada@example.org",
            "KITH_BOOTSTRAP_ADMIN_PASSWORD": secret, "KITH_KEY_ENCRYPTION_SECRET": secret,
        ]
        let configuration = try read(environment: environment)
        var dumped = ""
        dump(configuration, to: &dumped)
        let sources = try ConfigurationSources(flags: [:], file: nil, environment: environment)
        let report = try sources.report()
        for text in ["\(configuration)", String(reflecting: configuration), dumped, report.text, report.json] {
            #expect(!text.contains(secret))
        }
        #expect(report.text.contains("<secret>"))
        let short = mistakes(environment: ["KITH_KEY_ENCRYPTION_SECRET": "tooshort"])
        #expect(short == ["KITH_KEY_ENCRYPTION_SECRET: is shorter than 32 bytes"])
    }

    @Test func mistypedVariablesAreFound() {
        let unknown = ConfigurationLayer.unknownVariables(in: [
            "KITH_PROT": "1", "KITH_PORT": "1", "KITH_CONFIG": "x", "PATH": "y",
        ])
        #expect(unknown == ["KITH_PROT"])
    }

    @Test(arguments: ["host:0", "ho st", "a/b", "https://example.org", "", ":80", "example..org", "-a.example"])
    func notAPublicName(_ text: String) {
        #expect(PublicName(text) == nil, "\(text)")
    }
}
