// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "Atls",
    platforms: [.macOS(.v15), .iOS(.v18)],
    products: [
        .library(name: "Atls", targets: ["Atls"]),
        .library(name: "CAtls", targets: ["CAtls"]),
    ],
    targets: [
        .systemLibrary(name: "CAtls", pkgConfig: "atls", providers: [.apt(["libatls-dev"])]),
        .target(name: "Atls", dependencies: ["CAtls"]),
        .executableTarget(name: "chat", dependencies: ["Atls"]),
        .testTarget(name: "AtlsTests", dependencies: ["Atls"]),
    ],
    swiftLanguageModes: [.v6]
)
