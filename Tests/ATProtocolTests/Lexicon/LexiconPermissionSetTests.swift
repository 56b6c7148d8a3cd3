import ATProtocol
import Testing

/// Permission sets: what is understood, what is passed over, what is malformed.
struct LexiconPermissionSetTests {
    private func set(_ permissions: String, more: String = "") throws -> LexiconPermissionSet {
        let document = try LexiconExamples.document(
            """
            {"lexicon": 1, "id": "app.example.authFull", "defs": {"main": {
              "type": "permission-set", "permissions": [\(permissions)]\(more)}}}
            """)
        return try #require(LexiconCatalog(documents: [document]).permissionSet(document.id))
    }

    private func permission(_ fields: String) -> String { #"{"type": "permission", \#(fields)}"# }

    @Test func titles() throws {
        let set = try set(
            "",
            more:
                #", "title": "All", "title:lang": {"fr": "Tout", "pt-BR": "Tudo"}, "detail": "d", "detail:lang": {"de": "D"}"#
        )
        #expect(set.title == "All" && set.detail == "d" && set.permissions.isEmpty)
        #expect(set.titleTranslations[LanguageTag(literal: "fr")] == "Tout")
        #expect(set.titleTranslations.count == 2 && set.detailTranslations.count == 1)
    }

    @Test func understood() throws {
        let set = try set(
            [
                permission(#""resource": "repo", "collection": ["app.example.post", "app.example.deep.like"]"#),
                permission(
                    #""resource": "repo", "collection": ["app.example.post"], "action": ["delete"], "description": "x""#
                ),
                permission(#""resource": "rpc", "lxm": ["app.example.getFeed"], "inheritAud": true"#),
                permission(#""resource": "rpc", "lxm": ["app.example.getFeed"], "aud": "*""#),
                permission(#""resource": "rpc", "lxm": ["app.example.getFeed"], "aud": "*", "inheritAud": false"#),
            ].joined(separator: ", "))
        let post = NSID(literal: "app.example.post")
        let feed = NSID(literal: "app.example.getFeed")
        #expect(
            set.permissions == [
                .repo(
                    collections: [post, NSID(literal: "app.example.deep.like")], actions: [.create, .update, .delete]),
                .repo(collections: [post], actions: [.delete]), .rpc(methods: [feed], audience: .inherited),
                .rpc(methods: [feed], audience: .any), .rpc(methods: [feed], audience: .any),
            ])
        #expect(set.ignored.isEmpty)
    }

    @Test func passedOver() throws {
        let cases = [
            #""resource": "blob", "accept": ["*/*"]"#, #""resource": "account", "attr": "email""#,
            #""resource": "later""#,
            #""resource": "identity", "attr": "*""#, #""resource": "repo", "collection": ["*"]"#,
            #""resource": "repo", "collection": ["app.other.post"]"#,
            #""resource": "repo", "collection": ["app.examples.post"]"#,
            #""resource": "repo", "collection": ["app.example.post", "app.other.post"]"#,
            #""resource": "repo", "collection": ["app.example.post"], "action": ["read"]"#,
            #""resource": "repo", "collection": ["app.example.post"], "action": []"#,
            #""resource": "repo", "collection": ["app.example.post"], "action": ["create", "create"]"#,
            #""resource": "repo", "collection": ["app.example.post", "app.example.post"]"#,
            #""resource": "repo", "collection": ["app.example.post"], "later": true"#,
            #""resource": "rpc", "lxm": ["app.example.getFeed"]"#,
            #""resource": "rpc", "lxm": ["*"], "inheritAud": true"#,
            #""resource": "rpc", "lxm": ["app.example.*"], "aud": "*""#,
            #""resource": "rpc", "lxm": ["app.other.getFeed"], "aud": "*""#,
            #""resource": "rpc", "lxm": ["app.example.getFeed"], "aud": "*", "inheritAud": true"#,
            #""resource": "rpc", "lxm": ["app.example.getFeed"], "aud": "did:web:example.com#svc""#,
            #""resource": "rpc", "lxm": ["app.example.getFeed"], "aud": "*", "later": 1"#,
        ]
        for fields in cases {
            let set = try set(permission(fields))
            #expect(set.permissions.isEmpty && set.ignored.count == 1, "\(fields)")
            #expect(set.ignored.first?.hasPrefix("defs.main.permissions[0] ") == true)
        }
        // One that is not understood takes nothing from the others.
        let mixed = try set(
            (cases.prefix(2) + [#""resource": "repo", "collection": ["app.example.post"]"#])
                .map(permission).joined(separator: ", "))
        #expect(mixed.permissions.count == 1 && mixed.ignored.count == 2)
    }

    @Test func malformed() throws {
        let cases = [
            "1", #"{"resource": "repo", "collection": ["app.example.post"]}"#, permission(#""collection": []"#),
            permission(#""resource": "repo""#), permission(#""resource": "repo", "collection": []"#),
            permission(#""resource": "repo", "collection": "app.example.post""#),
            permission(#""resource": "rpc", "aud": "*""#),
            permission(#""resource": "rpc", "lxm": [], "aud": "*""#),
            permission(#""resource": "rpc", "lxm": [1], "aud": "*""#),
            permission(#""resource": "rpc", "lxm": ["app.example.getFeed"], "inheritAud": "yes""#),
        ]
        for json in cases { #expect(throws: LexiconError.self, "\(json)") { try set(json) } }
        for more in [
            #", "title": 1"#, #", "title:lang": []"#, #", "title:lang": {"x-": "a"}"#, #", "detail:lang": {"de": 1}"#,
        ] {
            #expect(throws: LexiconError.self, "\(more)") { try set("", more: more) }
        }
        #expect(throws: LexiconError.self) {
            try LexiconExamples.document(
                #"{"lexicon": 1, "id": "a.b.c", "defs": {"main": {"type": "permission-set", "title": "x"}}}"#)
        }
    }
}
