package import Base

/// A moment as text: the part of RFC 3339 that ISO 8601 and WHATWG share, e.g. `1985-04-12T23:20:50.123Z`.
///
/// Upper-case `T` and `Z`, seconds and time zone mandatory, no `-00:00`, a fraction of 1…20 digits, at most 64 bytes; a day
/// that exists; not before the year 0. Leap seconds (`:60`) are refused, as the other implementations refuse them.
/// Kept as written: equality and order are those of the texts; compare `timestamp` to compare moments.
///
/// - Spec: https://atproto.com/specs/lexicon (string format `datetime`)
package struct Datetime: StringSyntax {
    package static let kind = SyntaxError.Kind.datetime
    /// The longest datetime, in bytes.
    package static let lengthMax = 64

    package let string: String
    /// The moment, cut to whole microseconds.
    package let timestamp: Timestamp

    package init(parsing string: String) throws(SyntaxError) {
        var reader = DatetimeReader()
        if let reason = reader.read(string.utf8.span) { throw SyntaxError(Self.kind, reason) }
        self.string = string
        timestamp = Timestamp(microseconds: reader.microseconds)
    }

    /// `timestamp` in the preferred form, `2024-01-31T12:34:56.789Z`: UTC, cut to milliseconds.
    ///
    /// Moments outside the years 0…9999 are moved to the nearest end of that range.
    package init(_ timestamp: Timestamp) {
        let clamped = min(max(timestamp.microseconds, Self.microsecondsMin), Self.microsecondsMax)
        let milliseconds = (clamped - Self.microsecondsMin) / 1000
        let secondOfDay = Int(milliseconds / 1000 % 86_400)
        let (year, month, day) = CivilDay.date(daysSinceYearZero: Int(milliseconds / 86_400_000))
        let fields: [(value: Int, width: Int, next: UInt8)] = [
            (year, 4, UInt8(ascii: "-")), (month, 2, UInt8(ascii: "-")), (day, 2, UInt8(ascii: "T")),
            (secondOfDay / 3600, 2, UInt8(ascii: ":")), (secondOfDay / 60 % 60, 2, UInt8(ascii: ":")),
            (secondOfDay % 60, 2, UInt8(ascii: ".")), (Int(milliseconds % 1000), 3, UInt8(ascii: "Z")),
        ]
        string = String(unsafeUninitializedCapacity: 24) { buffer in
            var end = 0
            for field in fields {
                var value = field.value
                for offset in stride(from: field.width - 1, through: 0, by: -1) {
                    buffer[end + offset] = 0x30 + UInt8(value % 10)
                    value /= 10
                }
                end += field.width
                buffer[end] = field.next
                end += 1
            }
            return end
        }
        self.timestamp = Timestamp(microseconds: Self.microsecondsMin + milliseconds * 1000)
    }

    package static func fault(in utf8: Span<UInt8>) -> StaticString? {
        var reader = DatetimeReader()
        return reader.read(utf8)
    }

    /// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
    static let microsecondsMin: Int64 = -62_167_219_200_000_000
    static let microsecondsMax: Int64 = 253_402_300_799_999_999
}

/// Reads one datetime, left to right.
private struct DatetimeReader {
    private var position = 0
    private(set) var microseconds: Int64 = 0

    /// The rule that `utf8` breaks, or nil; then `microseconds` is the moment.
    mutating func read(_ utf8: Span<UInt8>) -> StaticString? {
        let form: StaticString = "not of the form YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)"
        guard utf8.count <= Datetime.lengthMax else { return "longer than 64 bytes" }
        guard let year = number(utf8, digits: 4), skip(utf8, "-"), let month = number(utf8, digits: 2), skip(utf8, "-"),
            let day = number(utf8, digits: 2), skip(utf8, "T"), let hour = number(utf8, digits: 2), skip(utf8, ":"),
            let minute = number(utf8, digits: 2), skip(utf8, ":"), let second = number(utf8, digits: 2),
            let fraction = fraction(utf8)
        else { return form }
        var offsetMinutes = 0
        if !skip(utf8, "Z") {
            let isBehind = skip(utf8, "-")
            guard isBehind || skip(utf8, "+"), let hours = number(utf8, digits: 2), skip(utf8, ":"),
                let minutes = number(utf8, digits: 2)
            else { return form }
            guard hours < 24, minutes < 60 else { return "the time zone is out of range" }
            guard !isBehind || hours > 0 || minutes > 0 else { return "the time zone -00:00 is not allowed" }
            offsetMinutes = (hours * 60 + minutes) * (isBehind ? -1 : 1)
        }
        guard position == utf8.count else { return form }
        guard (1...12).contains(month), (1...CivilDay.count(year: year, month: month)).contains(day) else {
            return "no such day"
        }
        guard hour < 24, minute < 60, second < 60 else { return "no such time of day" }
        let days = CivilDay.daysSinceYearZero(year: year, month: month, day: day)
        let seconds = days * 86_400 + (hour * 60 + minute - offsetMinutes) * 60 + second
        guard seconds >= 0 else { return "before the year 0" }
        microseconds = Datetime.microsecondsMin + Int64(seconds) * 1_000_000 + Int64(fraction)
        return nil
    }

    private mutating func number(_ utf8: Span<UInt8>, digits: Int) -> Int? {
        guard position + digits <= utf8.count else { return nil }
        var value = 0
        for _ in 0..<digits {
            guard utf8[position].isASCIIDigit else { return nil }
            value = value * 10 + Int(utf8[position] - 0x30)
            position += 1
        }
        return value
    }

    private mutating func skip(_ utf8: Span<UInt8>, _ character: Unicode.Scalar) -> Bool {
        guard position < utf8.count, utf8[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    /// The fraction of the second in microseconds, 0 when there is none, nil when malformed.
    private mutating func fraction(_ utf8: Span<UInt8>) -> Int? {
        guard skip(utf8, ".") else { return 0 }
        var value = 0
        var count = 0
        while position < utf8.count, utf8[position].isASCIIDigit {
            if count < 6 { value = value * 10 + Int(utf8[position] - 0x30) }
            count += 1
            position += 1
        }
        guard (1...20).contains(count) else { return nil }
        for _ in count..<max(count, 6) { value *= 10 }
        return value
    }
}

/// Days of the proleptic Gregorian calendar, counted from 0000-01-01.
private enum CivilDay {
    private static let daysBeforeMonth = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

    static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    /// The days of a month 1…12.
    static func count(year: Int, month: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The first day of `year`, which is zero or more. The year 0 is a leap year.
    private static func daysBefore(year: Int) -> Int {
        guard year > 0 else { return 0 }
        let past = year - 1
        return year * 365 + past / 4 - past / 100 + past / 400 + 1
    }

    static func daysSinceYearZero(year: Int, month: Int, day: Int) -> Int {
        daysBefore(year: year) + daysBeforeMonth[month - 1] + (month > 2 && isLeap(year) ? 1 : 0) + day - 1
    }

    static func date(daysSinceYearZero days: Int) -> (year: Int, month: Int, day: Int) {
        // 146097 days are exactly 400 years, so the estimate is off by one at most.
        var year = days * 400 / 146_097
        while daysBefore(year: year) > days { year -= 1 }
        while daysBefore(year: year + 1) <= days { year += 1 }
        var rest = days - daysBefore(year: year)
        var month = 1
        while rest >= count(year: year, month: month) {
            rest -= count(year: year, month: month)
            month += 1
        }
        return (year, month, rest + 1)
    }
}
