/// An IPv4 or IPv6 address. IPv4-mapped IPv6 addresses (`::ffff:a.b.c.d`) are the IPv4 address they carry.
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// The two kinds of addresses.
    package enum Family: Sendable, Hashable { case ipv4, ipv6 }

    /// Which kind it is.
    package let family: Family
    /// The upper 64 bits of an IPv6 address; 0 for IPv4.
    let high: UInt64
    /// The lower 64 bits; the 32 bits of an IPv4 address.
    let low: UInt64

    /// An IPv4 address from its four bytes, in network order.
    package init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    private init(ipv4: UInt32) {
        family = .ipv4
        high = 0
        low = UInt64(ipv4)
    }

    /// An IPv6 address; a mapped one becomes IPv4.
    private init(high: UInt64, low: UInt64) {
        let isMapped = high == 0 && low >> 32 == 0xFFFF
        family = isMapped ? .ipv4 : .ipv6
        self.high = high
        self.low = isMapped ? low & 0xFFFF_FFFF : low
    }

    /// An address from 4 or 16 bytes in network order; nil for other lengths.
    package init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.init(bytes[0], bytes[1], bytes[2], bytes[3])
        case 16:
            self.init(
                high: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes[8...].reduce(0) { $0 << 8 | UInt64($1) })
        default: return nil
        }
    }

    /// The address of `text` in its ordinary form: four decimal numbers without leading zeros, or RFC 4291 section 2.2.
    ///
    /// Nil for the other forms C libraries take (`0x7f.1`, `2130706433`, `0177.0.0.1`), for zones and for brackets.
    package init?(_ text: some StringProtocol) {
        let characters = Array(text.utf8)
        guard characters.count <= 45 else { return nil }
        if characters.contains(UInt8(ascii: ":")) {
            guard let groups = Self.groups(characters[...]) else { return nil }
            self.init(
                high: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
                low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
        } else {
            guard let value = Self.dottedQuad(characters[...]) else { return nil }
            self.init(ipv4: value)
        }
    }

    /// The text in canonical form (RFC 5952 for IPv6).
    package var description: String {
        guard family == .ipv6 else {
            return "\(low >> 24 & 255).\(low >> 16 & 255).\(low >> 8 & 255).\(low & 255)"
        }
        let groups = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> (48 - index % 4 * 16))
        }
        let gap = Self.longestZeroRun(groups)
        var text = ""
        var index = 0
        while index < 8 {
            if index == gap.lowerBound, !gap.isEmpty {
                text += "::"
                index = gap.upperBound
                continue
            }
            if !text.isEmpty, !text.hasSuffix("::") { text += ":" }
            text += String(groups[index], radix: 16)
            index += 1
        }
        return text
    }

    /// Whether the address is one of the public Internet: not private, local, reserved, multicast or for documentation.
    ///
    /// Addresses that carry an IPv4 address (NAT64) are judged by it; tunnels (6to4, Teredo) are not public.
    /// Spec: the special-purpose registries of IANA (RFC 6890).
    package var isPublic: Bool {
        switch family {
        case .ipv4: return !Self.specialIPv4.contains { low >> (32 - $0.bits) == $0.prefix >> (32 - $0.bits) }
        case .ipv6:
            if high == 0x0064_FF9B_0000_0000, low >> 32 == 0 {
                return IPAddress(ipv4: UInt32(truncatingIfNeeded: low)).isPublic
            }
            guard high >> 61 == 0b001 else { return false }
            let isTeredoOrProtocol = high >> 41 == 0x2001_0000 >> 9
            let isDocumentation = high >> 32 == 0x2001_0DB8 || high >> 44 == 0x3FFF0
            return !isTeredoOrProtocol && !isDocumentation && high >> 48 != 0x2002
        }
    }

    /// Whether the address is loopback, link-local or private: where a reverse proxy of ours may stand.
    package var isLocalNetwork: Bool {
        switch family {
        case .ipv4:
            low >> 24 == 127 || low >> 24 == 10 || low >> 20 == 0xAC1 || low >> 16 == 0xC0A8 || low >> 16 == 0xA9FE
        case .ipv6: self == Self.loopbackIPv6 || high >> 57 == 0x7E || high >> 54 == 0x3FA
        }
    }

    /// What rate limits count as one client: the IPv4 address, or the /64 network of an IPv6 address.
    package var limitKey: String {
        family == .ipv4 ? description : String(high, radix: 16) + "::/64"
    }

    private static let loopbackIPv6 = IPAddress(high: 0, low: 1)

    private static let specialIPv4: [(prefix: UInt64, bits: UInt64)] = [
        (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8), (0xA9FE_0000, 16), (0xAC10_0000, 12),
        (0xC000_0000, 24), (0xC000_0200, 24), (0xC058_6300, 24), (0xC0A8_0000, 16), (0xC612_0000, 15),
        (0xC633_6400, 24), (0xCB00_7100, 24), (0xE000_0000, 4), (0xF000_0000, 4),
    ]

    private static func dottedQuad(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0") else { return nil }
            var number: UInt32 = 0
            for digit in part {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
                number = number * 10 + UInt32(digit - UInt8(ascii: "0"))
            }
            guard number <= 255 else { return nil }
            value = value << 8 | number
        }
        return value
    }

    /// The eight groups of an IPv6 text.
    private static func groups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        let colon = UInt8(ascii: ":")
        let gaps = text.indices.dropLast().filter { text[$0] == colon && text[$0 + 1] == colon }
        guard let gap = gaps.first else {
            let all = groupList(text)
            return all?.count == 8 ? all : nil
        }
        guard gaps.count == 1 else { return nil }
        guard let front = groupList(text[..<gap], mayEndInQuad: false), let back = groupList(text[(gap + 2)...]) else {
            return nil
        }
        let missing = 8 - front.count - back.count
        guard missing >= 1 else { return nil }
        return front + [UInt16](repeating: 0, count: missing) + back
    }

    /// Groups between single colons; the last may be a dotted quad. An empty text has none.
    private static func groupList(_ text: ArraySlice<UInt8>, mayEndInQuad: Bool = true) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var result: [UInt16] = []
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInQuad, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let quad = dottedQuad(part) else { return nil }
                result += [UInt16(quad >> 16), UInt16(quad & 0xFFFF)]
                continue
            }
            guard (1...4).contains(part.count), !part.contains(UInt8(ascii: "+")), !part.contains(UInt8(ascii: "-")),
                let value = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
            else { return nil }
            result.append(value)
        }
        return result.count <= 8 ? result : nil
    }

    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int> {
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(1, best.count) { best = start..<end }
            start = max(end, start + 1)
        }
        return best
    }
}
