/// An element of the small XML answers of object stores. Attributes, comments and prefixes of names are dropped.
///
/// The reader is total: any bytes give an element or an error, in time and memory that grow with the input alone. There
/// are no document types, so nothing can be defined that expands, and nothing is ever loaded.
struct XMLElement: Sendable, Hashable {
    let name: String
    /// The characters directly inside.
    private(set) var text = ""
    private(set) var children: [XMLElement] = []

    /// What is wrong with a text.
    enum Mistake: Error, Sendable, Hashable {
        case malformed(offset: Int)
        /// A document type, which could define entities.
        case documentType
        case tooDeep
        case tooMany
    }

    static let depthMax = 12
    static let countMax = 40_000

    /// The text of the first child of this name; nil when there is none.
    subscript(name: String) -> String? { children.first { $0.name == name }?.text }

    init(parsing bytes: [UInt8]) throws(Mistake) {
        var reader = XMLReader(bytes: bytes)
        self = try reader.document()
    }

    fileprivate init(name: String) {
        self.name = name
    }

    fileprivate mutating func close(text: String) { self.text = text }
    fileprivate mutating func add(_ child: XMLElement) { children.append(child) }
}

private struct XMLReader {
    let bytes: [UInt8]
    private var index = 0
    private var count = 0
    /// Elements not closed yet, each with its text so far.
    private var open: [(element: XMLElement, text: [UInt8])] = []
    private var root: XMLElement?

    init(bytes: [UInt8]) {
        self.bytes = bytes
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
    }

    mutating func document() throws(XMLElement.Mistake) -> XMLElement {
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "<") { try markup() } else { try text() }
        }
        guard open.isEmpty, let root else { throw mistake }
        return root
    }

    private var mistake: XMLElement.Mistake { .malformed(offset: index) }

    private mutating func markup() throws(XMLElement.Mistake) {
        if skips("<?") {
            try skip(past: "?>")
        } else if skips("<!--") {
            try skip(past: "-->")
        } else if skips("<![CDATA[") {
            let start = index
            try skip(past: "]]>")
            try append(bytes[start..<index - 3])
        } else if skips("<!") {
            throw .documentType
        } else if skips("</") {
            try endTag()
        } else {
            index += 1
            try startTag()
        }
    }

    private mutating func startTag() throws(XMLElement.Mistake) {
        guard root == nil || !open.isEmpty else { throw mistake }
        let name = try name()
        count += 1
        guard count <= XMLElement.countMax else { throw .tooMany }
        guard open.count < XMLElement.depthMax else { throw .tooDeep }
        open.append((XMLElement(name: name), []))
        // Attributes: only where they end matters.
        var quote: UInt8?
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if let mark = quote {
                if byte == mark { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: "<") {
                break
            } else if byte == UInt8(ascii: ">") {
                return
            } else if byte == UInt8(ascii: "/") {
                guard skips(">") else { break }
                return try close()
            }
        }
        throw mistake
    }

    private mutating func endTag() throws(XMLElement.Mistake) {
        let name = try name()
        while index < bytes.count, Self.isSpace(bytes[index]) { index += 1 }
        guard name == open.last?.element.name, skips(">") else { throw mistake }
        try close()
    }

    private mutating func close() throws(XMLElement.Mistake) {
        guard let (ended, bytes) = open.popLast(), let text = String(validating: bytes, as: UTF8.self) else {
            throw mistake
        }
        var element = ended
        element.close(text: text)
        if open.isEmpty { root = element } else { open[open.count - 1].element.add(element) }
    }

    /// The name at this place, without its prefix.
    private mutating func name() throws(XMLElement.Mistake) -> String {
        let start = index
        while index < bytes.count, PercentEncoding.isUnreserved(bytes[index]) || bytes[index] == UInt8(ascii: ":") {
            index += 1
        }
        let name = bytes[start..<index].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).last ?? []
        guard !name.isEmpty else { throw mistake }
        return String(decoding: name, as: UTF8.self)
    }

    private mutating func text() throws(XMLElement.Mistake) {
        let end = bytes[index...].firstIndex { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: "&") } ?? bytes.count
        try append(bytes[index..<end])
        index = end
        if index < bytes.count, bytes[index] == UInt8(ascii: "&") { try reference() }
    }

    /// One of the five named characters, or a number.
    private mutating func reference() throws(XMLElement.Mistake) {
        let longest = bytes[index...].prefix(10)
        guard let end = longest.firstIndex(of: UInt8(ascii: ";")) else { throw mistake }
        let name = String(decoding: bytes[index + 1..<end], as: UTF8.self)
        let scalar: Unicode.Scalar?
        switch name {
        case "amp": scalar = "&"
        case "lt": scalar = "<"
        case "gt": scalar = ">"
        case "quot": scalar = "\""
        case "apos": scalar = "'"
        default:
            let digits = name.hasPrefix("#x") ? name.dropFirst(2) : name.dropFirst(1)
            guard name.hasPrefix("#"), digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }) else { throw mistake }
            scalar = UInt32(digits, radix: name.hasPrefix("#x") ? 16 : 10).flatMap(Unicode.Scalar.init)
        }
        guard let scalar else { throw mistake }
        try append(Array(String(Character(scalar)).utf8)[...])
        index = end + 1
    }

    /// Outside of the root there may be space only.
    private mutating func append(_ piece: ArraySlice<UInt8>) throws(XMLElement.Mistake) {
        if open.isEmpty {
            guard piece.allSatisfy(Self.isSpace) else { throw mistake }
        } else {
            open[open.count - 1].text += piece
        }
    }

    private mutating func skips(_ mark: StaticString) -> Bool {
        let isHere = bytes[index...].starts(
            with: UnsafeBufferPointer(start: mark.utf8Start, count: mark.utf8CodeUnitCount))
        if isHere { index += mark.utf8CodeUnitCount }
        return isHere
    }

    private mutating func skip(past mark: StaticString) throws(XMLElement.Mistake) {
        while index < bytes.count {
            if skips(mark) { return }
            index += 1
        }
        throw mistake
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
}
