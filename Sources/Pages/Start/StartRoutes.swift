package import Contracts
package import Web

/// `/`.
package struct StartRoutes: Sendable {
    let place: PlaceDescription
    let accounts: any Accounts

    package init(place: PlaceDescription, accounts: any Accounts) {
        self.place = place
        self.accounts = accounts
    }

    /// Adds the start page to the table.
    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let page = StartPage(place: place)
        let accounts = accounts
        routes.get("/", access: .anyone, failures: place.frame.failures) { call in
            guard call.head.headers("accept").contains(where: { $0.contains("text/html") }) else { return page.text() }
            return page.html(try await accounts.publicPeople(limit: StartPage.peopleMax))
        }
    }
}
