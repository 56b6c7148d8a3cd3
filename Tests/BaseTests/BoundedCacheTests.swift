import Base
import Testing

/// The bounded memory behind standings, sessions and keys.
struct CacheTests {
    @Test func whatIsKeptIsFound() {
        let cache = BoundedCache<Int, String>(countMax: 100)
        let ticket = cache.ticket()
        for number in 0..<50 { cache.keep("\(number)", for: number, ticket: ticket) }
        for number in 0..<50 { #expect(cache.value(for: number) == "\(number)") }
    }

    @Test func memoryStaysBoundedAndKeepsWhatIsUsed() {
        let cache = BoundedCache<Int, Int>(countMax: 100)
        cache.keep(-1, for: -1, ticket: cache.ticket())
        for number in 0..<10_000 {
            cache.keep(number, for: number, ticket: cache.ticket())
            #expect(cache.value(for: -1) == -1, "\(number)")
            #expect(cache.count <= 100)
        }
    }

    @Test func whatWasReadBeforeAChangeIsNotKept() {
        let cache = BoundedCache<Int, String>(countMax: 100)
        let ticket = cache.ticket()
        cache.forget(1)
        cache.keep("old", for: 1, ticket: ticket)
        #expect(cache.value(for: 1) == nil)
        cache.keep("new", for: 1, ticket: cache.ticket())
        #expect(cache.value(for: 1) == "new")
        cache.forgetAll()
        #expect(cache.value(for: 1) == nil)
    }
}
