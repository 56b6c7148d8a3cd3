import Testing

/// The project speaks of itself alone: not of the machine it was written on, and not of work put off.
struct WordingTests {
    /// Spelt in parts, so that this file passes its own test.
    private static let machines = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/"]
    private static let registries = [
        "py" + "pi.org", "pythonhosted" + ".org", "registry.np" + "mjs", "deb.deb" + "ian.org", "proxy.go" + "lang.org",
    ]
    private static let putOff = ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]

    @Test func noMachineIsNamed() { refuse(Self.machines) }

    @Test func noRegistryIsNamed() { refuse(Self.registries) }

    @Test func nothingIsPutOff() { refuse(Self.putOff) }

    private func refuse(_ words: [String]) {
        for file in SourceTree.shared.files where file.path != "LICENSE" {
            for (number, line) in file.lines.enumerated() {
                for word in words where line.contains(word) {
                    Issue.record("\(file.complaint(number, "says “\(word)”"))")
                }
            }
        }
    }
}
