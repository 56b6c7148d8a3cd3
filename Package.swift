// swift-tools-version: 6.1
import PackageDescription

/// What every target of ours is compiled with. Dependencies are left alone.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(["-warnings-as-errors"]),
]

let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "_CryptoExtras", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let nioHTTPTypes: Target.Dependency = .product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1: Target.Dependency = .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite: Target.Dependency = .product(name: "GRDBSQLite", package: "GRDB.swift")
let serviceLifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

/// The floors of the house, top to bottom (docs/architecture.md). Imports point down only.
let package = Package(
    name: "kith",
    products: [.executable(name: "kith", targets: ["kith"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "kith", dependencies: ["App", "Base", "Hosting", argumentParser], swiftSettings: strict),
        .target(
            name: "App",
            dependencies: [
                "Base", "ATProtocol", "Contracts", "Storage", "Web", "Identity", "Publishing", "Community", "Hosting",
                "Pages",
                logging,
                serviceLifecycle, unixSignals, yams, asyncHTTPClient, nioCore, nioHTTP1,
            ], swiftSettings: strict),
        .target(
            name: "Identity",
            dependencies: [
                "Base", "ATProtocol", "Contracts", "Storage", "Web", hummingbird, crypto, cryptoExtras, logging,
                serviceLifecycle,
            ],
            exclude: [
                "Accounts/README.md", "Sessions/README.md", "Directory/README.md", "Audit/README.md",
                "Partners/README.md", "ExternalKeys/README.md",
            ],
            swiftSettings: strict),
        .target(
            name: "Publishing",
            dependencies: [
                "Base", "ATProtocol", "Contracts", "Storage", "Web", hummingbird, crypto, logging, serviceLifecycle,
                nioCore,
            ], exclude: ["Repositories/README.md", "Blobs/README.md", "Firehose/README.md"], swiftSettings: strict),
        .target(
            name: "Community",
            dependencies: ["Base", "ATProtocol", "Contracts", "Storage", "Web", crypto, logging],
            exclude: ["Communities/README.md", "Attestations/README.md", "Governance/README.md"],
            swiftSettings: strict),
        .target(
            name: "Hosting", dependencies: ["Base", "ATProtocol", "Contracts", "Storage", crypto],
            exclude: ["Backup/README.md"], swiftSettings: strict),
        .target(
            name: "Pages", dependencies: ["Base", "ATProtocol", "Contracts", "Web"],
            exclude: ["Frame/README.md", "Start/README.md", "Setup/README.md", "Password/README.md"],
            swiftSettings: strict),
        .target(name: "Contracts", dependencies: ["Base", "ATProtocol", "Storage"], swiftSettings: strict),
        .target(
            name: "Web",
            dependencies: [
                "Base", "ATProtocol", "CAres", "CCurl", "CZlib", hummingbird, hummingbirdCore, httpTypes, nioCore,
                nioPosix,
                nioHTTP1,
                nioWebSocket, nioHTTPTypes, nioHTTPTypesHTTP1, asyncHTTPClient, logging, serviceLifecycle,
            ], swiftSettings: strict),
        .target(
            name: "Storage",
            dependencies: ["Base", "ATProtocol", "CPostgreSQL", grdb, grdbSQLite, crypto, logging, serviceLifecycle],
            exclude: ["README.md"], swiftSettings: strict),
        .target(name: "ATProtocol", dependencies: ["Base", "CSecp256k1", crypto], swiftSettings: strict),
        .target(name: "Base", dependencies: [logging], swiftSettings: strict),
        .systemLibrary(name: "CSecp256k1", pkgConfig: "libsecp256k1", providers: [.apt(["libsecp256k1-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CPostgreSQL", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CAres", pkgConfig: "libcares", providers: [.apt(["libc-ares-dev"])]),
        .target(
            name: "TestDatabases", dependencies: ["Storage", "Base", "CPostgreSQL"], path: "Tests/TestDatabases",
            swiftSettings: strict),
        .testTarget(name: "TidyTests", swiftSettings: strict),
        .testTarget(name: "BaseTests", dependencies: ["Base"], swiftSettings: strict),
        .testTarget(name: "ATProtocolTests", dependencies: ["ATProtocol", "Base"], swiftSettings: strict),
        .testTarget(
            name: "StorageTests",
            dependencies: ["App", "Storage", "TestDatabases", "ATProtocol", "Base", crypto, logging],
            swiftSettings: strict),
        .testTarget(
            name: "WebTests",
            dependencies: [
                "Web", "ATProtocol", "Base", "CZlib", nioCore, nioPosix, nioHTTP1, nioEmbedded, logging,
                serviceLifecycle,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "IdentityTests",
            dependencies: [
                "Identity", "Contracts", "Storage", "TestDatabases", "Web", "ATProtocol", "Base", crypto, logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "PublishingTests",
            dependencies: [
                "Publishing", "Contracts", "Storage", "TestDatabases", "Web", "ATProtocol", "Base", crypto, logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CommunityTests",
            dependencies: [
                "Community", "Publishing", "Identity", "Contracts", "Storage", "TestDatabases", "Web", "ATProtocol",
                "Base", crypto, logging,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "HostingTests",
            dependencies: ["Hosting", "Contracts", "Storage", "TestDatabases", "ATProtocol", "Base", crypto],
            swiftSettings: strict),
        .testTarget(
            name: "PagesTests", dependencies: ["Pages", "Contracts", "Web", "ATProtocol", "Base"],
            swiftSettings: strict),
        .testTarget(
            name: "AppTests",
            dependencies: [
                "App", "Identity", "Publishing", "Community", "Hosting", "Contracts", "Storage", "TestDatabases",
                "Web",
                "ATProtocol", "Base",
                asyncHTTPClient,
                nioCore,
                nioHTTP1, logging,
            ], swiftSettings: strict),
    ]
)
