import ATProtocol
package import Contracts
package import Web

/// `com.atproto.sync.subscribeRepos`.
package struct FirehoseRoutes: Sendable {
    let firehose: FirehoseService

    package init(firehose: FirehoseService) {
        self.firehose = firehose
    }

    package func add(to routes: inout XRPCRouter<Caller, AccessRule>) {
        let firehose = firehose
        routes.subscription(
            "com.atproto.sync.subscribeRepos", access: .anyone,
            admit: { call in
                try firehose.admit(
                    cursor: call.parameters["cursor"]?.integerValue, from: call.head.addressKey)
            },
            handler: { call, socket in
                try await firehose.serve(
                    socket, cursor: call.parameters["cursor"]?.integerValue, from: call.head.addressKey)
            })
    }
}
