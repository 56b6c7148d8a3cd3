/// What a new password must be: 10…256 bytes of UTF-8, with three of lower case, upper case, digits and others.
package enum PasswordRules {
    package static let lengthMin = 10
    package static let lengthMax = 256
    /// The longest password that is looked at when somebody signs in: older servers allowed longer ones.
    package static let presentedLengthMax = 512
    private static let classesMin = 3

    /// - Throws: `.invalidPassword` with the rule that is broken.
    package static func check(_ password: String) throws(AccountError) {
        let bytes = password.utf8
        guard bytes.count >= lengthMin else {
            throw .invalidPassword(reason: "A password needs at least \(lengthMin) characters.")
        }
        guard bytes.count <= lengthMax else {
            throw .invalidPassword(reason: "A password may have at most \(lengthMax) bytes.")
        }
        var classes: Set<Int> = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): classes.insert(0)
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): classes.insert(1)
            case UInt8(ascii: "0")...UInt8(ascii: "9"): classes.insert(2)
            default: classes.insert(3)
            }
        }
        guard classes.count >= classesMin else {
            throw .invalidPassword(
                reason: "A password needs three of: lower-case letters, upper-case letters, digits, other characters.")
        }
    }
}
