import Testing

@testable import Web

/// Which texts are addresses, how they are written, and where they lead.
struct IPAddressTests {
    @Test(arguments: [
        ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("1.2.3.4", "1.2.3.4"), ("::", "::"),
        ("::1", "::1"), ("1::", "1::"), ("2001:DB8::0001", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::ffff:1.2.3.4", "1.2.3.4"), ("::ffff:0102:0304", "1.2.3.4"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
    ])
    func canonicalForm(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x7f.0.0.1", "1.2.3.4 ", "1.2.3.-4", "2130706433",
        "127.1", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1%eth0", "[::1]", "g::", "12345::",
        "1:2:3:4:5:6:7:8::", "::1.2.3", "1.2.3.4::", "::+1", "１.2.3.4",
    ])
    func refused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(arguments: [
        "1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.0.1.1", "198.17.0.1",
        "223.255.255.255", "169.253.1.1", "2606:4700::1111", "2a00::1", "2001:4860::8888", "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8", "2003::1",
    ])
    func publicAddresses(text: String) throws {
        #expect(try #require(IPAddress(text)).isPublic)
    }

    @Test(arguments: [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1",
        "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::10.0.0.1",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:1ff::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1",
        "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "4000::1",
    ])
    func otherAddresses(text: String) throws {
        #expect(try #require(IPAddress(text)).isPublic == false)
    }

    @Test func localNetworks() throws {
        for text in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.0.1", "::1", "fd00::1", "fe80::1"] {
            #expect(try #require(IPAddress(text)).isLocalNetwork, "\(text)")
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.64.0.1", "2606:4700::1", "fec0::1"] {
            #expect(try !#require(IPAddress(text)).isLocalNetwork, "\(text)")
        }
    }

    @Test func oneClientIsOneNetwork() throws {
        let first = try #require(IPAddress("2a00:1:2:3:4:5:6:7"))
        let second = try #require(IPAddress("2a00:1:2:3:ffff::1"))
        let other = try #require(IPAddress("2a00:1:2:4::1"))
        #expect(first.limitKey == second.limitKey)
        #expect(first.limitKey != other.limitKey)
    }
}
