/// Which Kith this is.
package enum KithVersion {
    /// The version by https://semver.org.
    package static let number = "0.1.0"
    /// What the network sees: relays tell implementations apart by it.
    package static let text = "kith \(number)"
}
