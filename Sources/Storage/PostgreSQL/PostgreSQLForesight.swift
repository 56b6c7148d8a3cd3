/// Questions that were asked ahead of the bodies that will ask them, and their answers.
///
/// A question that two bodies ask is sent for the first alone: that body may change the answer.
struct PostgreSQLForesight {
    private struct Question: Hashable {
        let sql: String
        let parameters: [SQLValue]
    }

    private var answers: [Question: PostgreSQLAnswer] = [:]
    private var asked: Set<Question> = []
    /// Whether all answers have come.
    var isSettled = true

    /// Sends the question; a connection that fails says so to the next who uses it.
    mutating func ask(_ question: BodyQuestion, over connection: PostgreSQLConnection) {
        let scope = QuestionScope()
        try? question(scope)
        guard let (sql, parameters) = scope.question else { return }
        guard asked.insert(Question(sql: sql, parameters: parameters)).inserted else { return }
        let answer = PostgreSQLAnswer()
        do throws(StorageError) {
            try connection.send(sql, parameters, answer)
        } catch {
            return
        }
        answers[Question(sql: sql, parameters: parameters)] = answer
        isSettled = false
    }

    /// The answer to a question, given once. All answers have to have come (`isSettled`) before it is looked at.
    mutating func take(_ sql: String, _ parameters: [SQLValue]) -> PostgreSQLAnswer? {
        answers.isEmpty ? nil : answers.removeValue(forKey: Question(sql: sql, parameters: parameters))
    }

    /// Notes a question and ends whoever asked it.
    private final class QuestionScope: ReadScope {
        private(set) var question: (sql: String, parameters: [SQLValue])?

        func query(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> [Row] {
            question = (sql, parameters)
            throw .closed
        }

        func first(_ sql: String, _ parameters: [SQLValue]) throws(StorageError) -> Row? {
            try query(sql, parameters).first
        }

        func forEach(_ sql: String, _ parameters: [SQLValue], _ body: (Row) throws -> Bool) throws {
            throw StorageError.closed
        }
    }
}
