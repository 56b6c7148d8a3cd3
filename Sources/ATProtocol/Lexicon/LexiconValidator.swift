/// Holds one value against compiled nodes.
///
/// Total: the depth is bounded, every step goes down in the value, and paths are only made when something is wrong.
struct LexiconValidator {
    /// How deep values may nest.
    static let depthMax = 128

    private let nodes: [LexiconNode]
    /// False once a part of the value lay behind a reference that leads to nothing.
    private(set) var isComplete = true
    /// The blobs met, with paths; in order of appearance.
    private(set) var blobs: [FoundBlob] = []
    private let blobHandling: BlobHandling

    /// What to do about blobs in places the schema says nothing about.
    enum BlobHandling {
        /// Nothing: the value is no record.
        case ignored
        /// Collect them, and refuse the legacy form.
        case collected
    }

    /// A blob on the way out to the top: `path` begins with the innermost step.
    struct FoundBlob {
        let reference: BlobReference
        let rule: LexiconBlob?
        var path: [LexiconPathStep]
    }

    init(_ nodes: [LexiconNode], blobHandling: BlobHandling) {
        self.nodes = nodes
        self.blobHandling = blobHandling
    }

    /// Checks `value` against the node at `index`.
    mutating func validate(_ value: DataValue, _ index: Int, depth: Int = 0) throws(LexiconFault) {
        guard depth < Self.depthMax else { throw LexiconFault("is nested too deep") }
        switch nodes[index] {
        case .boolean(let constant):
            guard case .boolean(let boolean) = value else { throw LexiconFault("must be a boolean") }
            if let constant, boolean != constant { throw LexiconFault("must be \(constant)") }
        case .integer(let rule):
            guard case .integer(let integer) = value else { throw LexiconFault("must be an integer") }
            if let fault = rule.fault(integer) { throw LexiconFault(fault) }
        case .string(let rule):
            guard case .string(let string) = value else { throw LexiconFault("must be a string") }
            if let fault = rule.fault(string) { throw LexiconFault(fault) }
        case .bytes(let range):
            guard case .bytes(let bytes) = value else { throw LexiconFault("must be bytes") }
            try check(bytes.count, range, unit: "bytes")
        case .link:
            guard case .link = value else { throw LexiconFault("must be a CID link") }
        case .blob(let rule): try blob(value, rule)
        case .array(let item, let range):
            guard case .array(let elements) = value else { throw LexiconFault("must be an array") }
            try check(elements.count, range, unit: "elements")
            for (position, element) in elements.enumerated() {
                try inside(.index(position)) { (self) throws(LexiconFault) in
                    try self.validate(element, item, depth: depth + 1)
                }
            }
        case .object(let rule):
            guard case .map(let map) = value else { throw LexiconFault("must be an object") }
            try object(map, rule, depth: depth)
        case .record(let type, let object):
            guard case .map(let map) = value else { throw LexiconFault("must be an object") }
            guard let found = map["$type"] else { throw LexiconFault("is required", at: "$type") }
            guard case .string(let name) = found, canonicalOrder(name, type) == 0 else {
                throw LexiconFault("must be \(type)", at: "$type")
            }
            try validate(value, object, depth: depth)
        case .union(let rule): try union(value, rule, depth: depth)
        case .unknown:
            guard case .map(let map) = value else { throw LexiconFault("must be an object") }
            if case .string("blob")? = map["$type"] { throw LexiconFault("must not be a blob") }
            try unchecked(value, depth: depth)
        case .unresolved:
            isComplete = false
            try unchecked(value, depth: depth)
        case .impossible(let what): throw LexiconFault("can have no value: its schema refers to \(what)")
        }
    }

    private func check(_ count: Int, _ range: ClosedRange<Int>, unit: String) throws(LexiconFault) {
        if count < range.lowerBound { throw LexiconFault("must not have fewer than \(range.lowerBound) \(unit)") }
        if count > range.upperBound { throw LexiconFault("must not have more than \(range.upperBound) \(unit)") }
    }

    /// Both the map and the rule are in canonical order: one pass over both.
    private mutating func object(_ map: DataMap, _ rule: ObjectRule, depth: Int) throws(LexiconFault) {
        let properties = rule.properties
        var next = 0
        for (key, value) in map {
            var order = -1
            while next < properties.count {
                order = canonicalOrder(properties[next].name, key)
                guard order < 0 else { break }
                try require(absent: properties[next])
                next += 1
            }
            if next < properties.count, order == 0 {
                let property = properties[next]
                next += 1
                if case .null = value {
                    guard property.isNullable else { throw LexiconFault("must not be null", at: property.name) }
                    continue
                }
                try inside(.field(property.name)) { (self) throws(LexiconFault) in
                    try self.validate(value, property.node, depth: depth + 1)
                }
            } else {
                // Schemas grow: a field that is not in this version of it is let through.
                try inside(.field(key)) { (self) throws(LexiconFault) in
                    try self.unchecked(value, depth: depth + 1)
                }
            }
        }
        while next < properties.count {
            try require(absent: properties[next])
            next += 1
        }
    }

    private func require(absent property: ObjectRule.Property) throws(LexiconFault) {
        if property.isRequired { throw LexiconFault("is required", at: property.name) }
    }

    private mutating func union(_ value: DataValue, _ rule: UnionRule, depth: Int) throws(LexiconFault) {
        guard case .map(let map) = value else { throw LexiconFault("must be an object") }
        guard let found = map["$type"] else { throw LexiconFault("is required", at: "$type") }
        guard case .string(let type) = found, !type.isEmpty else {
            throw LexiconFault("must be a non-empty string", at: "$type")
        }
        for variant in rule.variants where canonicalOrder(variant.type, type) == 0 {
            return try validate(value, variant.node, depth: depth)
        }
        guard !rule.isClosed else {
            let names = rule.variants.prefix(20).map(\.type).joined(separator: ", ")
            throw LexiconFault("must be one of \(names)", at: "$type")
        }
        try unchecked(value, depth: depth)
    }

    private mutating func blob(_ value: DataValue, _ rule: LexiconBlob) throws(LexiconFault) {
        guard let reference = BlobReference(value) else { throw LexiconFault("must be a blob") }
        if let accept = rule.accept, !accept.contains(where: { $0.matches(reference.mimeType) }) {
            let names = accept.prefix(20).map(\.description).joined(separator: ", ")
            throw LexiconFault("must be a blob of the type \(names)", rule: .blobType)
        }
        if let sizeMax = rule.sizeBytesMax, reference.sizeBytes > sizeMax {
            throw LexiconFault("must be a blob of at most \(sizeMax) bytes", rule: .blobSize)
        }
        blobs.append(FoundBlob(reference: reference, rule: rule, path: []))
    }

    /// Walks a part of the value that no schema describes, for its blobs.
    mutating func unchecked(_ value: DataValue, depth: Int) throws(LexiconFault) {
        guard blobHandling == .collected else { return }
        guard depth < Self.depthMax else { throw LexiconFault("is nested too deep") }
        switch value {
        case .null, .boolean, .integer, .string, .bytes, .link: break
        case .array(let elements):
            for (position, element) in elements.enumerated() {
                try inside(.index(position)) { (self) throws(LexiconFault) in
                    try self.unchecked(element, depth: depth + 1)
                }
            }
        case .map(let map):
            if let reference = BlobReference(value) {
                blobs.append(FoundBlob(reference: reference, rule: nil, path: []))
                return
            }
            guard LegacyBlobReference(value) == nil else {
                throw LexiconFault("must not be a blob in the form of before 2023")
            }
            for (key, element) in map {
                try inside(.field(key)) { (self) throws(LexiconFault) in
                    try self.unchecked(element, depth: depth + 1)
                }
            }
        }
    }

    /// Runs a check one step further down, and puts the step before what it throws and finds.
    private mutating func inside(
        _ step: LexiconPathStep, _ check: (inout LexiconValidator) throws(LexiconFault) -> Void
    ) throws(LexiconFault) {
        let found = blobs.count
        do throws(LexiconFault) {
            try check(&self)
        } catch {
            throw error.inside(step)
        }
        for index in found..<blobs.count { blobs[index].path.append(step) }
    }
}

/// One step from a value down to a part of it.
enum LexiconPathStep: Sendable, Hashable {
    case field(String)
    case index(Int)

    /// The text of steps that begin with the innermost, such as `embed.images[0]`.
    static func text(_ reversed: [LexiconPathStep]) -> String {
        var text = ""
        for step in reversed.reversed() {
            switch step {
            case .field(let name): text += text.isEmpty ? name : ".\(name)"
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}

/// A broken rule on the way out to the top.
struct LexiconFault: Error {
    let rule: LexiconError.Rule
    let message: String
    /// Begins with the innermost step.
    private var path: [LexiconPathStep] = []

    init(_ message: String, rule: LexiconError.Rule = .schema) {
        self.message = message
        self.rule = rule
    }

    init(_ message: String, at field: String) {
        self.init(message)
        path = [.field(field)]
    }

    func inside(_ step: LexiconPathStep) -> LexiconFault {
        var fault = self
        fault.path.append(step)
        return fault
    }

    func error(_ subject: LexiconError.Subject) -> LexiconError {
        LexiconError(subject, rule: rule, path: LexiconPathStep.text(path), message)
    }
}
