"""What outsiders may send: each a 4xx with a name and a message, in bounded time, and nothing changed."""

import base64
import json
import re
import socket
import time

import pytest

import keys
import kith

SECONDS_MAX = 10
NOTE = {"$type": "com.example.note", "text": "fine"}
CREATE = "com.atproto.repo.createRecord"
A_CID = "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"


@pytest.fixture(scope="module")
def client(server):
    client = server.account()
    client.create("com.example.note", NOTE, rkey="first").ok()
    return client


@pytest.fixture(autouse=True)
def unchanged(server, client):
    """Whatever a test here sends, the repository stays as it is and the server stays up."""
    before = client.head()
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SECONDS_MAX * 10, "took too long"
    assert server.alive(), server.log_tail()
    assert client.head() == before, "something was changed"


def refused(answer, *statuses, names=None, mentions=None):
    """The answer is one of these statuses (any 4xx by default), has a name and a message, and shows no insides."""
    assert 400 <= answer.status < 500, str(answer)
    assert not statuses or answer.status in statuses, str(answer)
    assert answer.error and answer.message, str(answer)
    assert names is None or answer.error in names, str(answer)
    if mentions:
        assert mentions.lower() in answer.message.lower(), f"the message doesn't name {mentions}: {answer}"
    for word in ("SQLite", ".swift", "GRDB", "Fatal", "Optional("):
        assert word not in answer.message, str(answer)
    return answer


def body(client, record=None, **more):
    return {"repo": client.did, "collection": "com.example.note", "record": NOTE if record is None else record, **more}


def send(client, data, content_type="application/json", nsid=CREATE):
    return client.post(nsid, data=data, headers={"Content-Type": content_type} if content_type else {})


# Bodies that are no JSON, or too much of it


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}{}",
        b'{"repo":"\xff\xfe"}',
        b'{"repo":"\\ud800"}',
        b'{"repo":"a","repo":"b"}',
        b'{"repo": NaN}',
        b'{"repo": 01}',
        b"{'repo': 1}",
        b'{"repo": "a",}',
        b"\x00\x01\x02",
        b"a" * 1000,
    ],
    ids=lambda data: data[:20].decode("latin-1"),
)
def test_malformed_json(client, data):
    refused(send(client, data), 400)


@pytest.mark.parametrize("depth", [200, 10_000, 100_000])
@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_nesting(client, depth, pair):
    if pair == "[]":
        nested = "[" * depth + "]" * depth
    else:
        nested = '{"a":' * depth + "1" + "}" * depth
    text = json.dumps(body(client, {"$type": "com.example.note", "x": "HERE"})).replace('"HERE"', nested)
    refused(send(client, text.encode()), 400, 413, mentions="record.x")


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        -0.1,
        1e400,
        2**63,
        -(2**63) - 1,
        10**40,
        {"$link": "not a cid"},
        {"$link": 1},
        {"$link": A_CID, "more": 1},
        {"$bytes": "***"},
        {"$bytes": 1},
        {"$bytes": "AAAA", "more": 1},
        {"$type": ""},
        {"$type": None},
        {"$type": 1},
        {"$type": "blob"},
        {"$type": "blob", "ref": {"$link": A_CID}, "mimeType": "image/png", "size": "10"},
        {"$type": "blob", "ref": {"$link": A_CID}, "mimeType": "image/png", "size": 10},
        {"$type": "blob", "ref": A_CID, "mimeType": "image/png", "size": 10},
    ],
    ids=lambda value: str(value)[:40],
)
def test_values_outside_the_data_model(client, value):
    text = json.dumps(body(client, {"$type": "com.example.note", "x": value})).replace("Infinity", "1e400")
    for validate in (None, False):
        sent = json.loads(text) if "1e400" not in text else None
        if sent is not None and validate is not None:
            text = json.dumps({**sent, "validate": validate})
        answer = refused(send(client, text.encode()), 400)
        assert re.search(r"\bx\b", answer.message), f"the message doesn't name x: {answer}"


@pytest.mark.parametrize("record", [1, "text", None, [], [1], True])
def test_records_that_are_no_objects(client, record):
    refused(client.post(CREATE, {**body(client), "record": record}), 400, mentions="record")


# Fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repo", None),
        ("repo", 1),
        ("repo", "not a name"),
        ("repo", "did:"),
        ("repo", "did:plc:"),
        ("repo", ""),
        ("collection", None),
        ("collection", "one"),
        ("collection", "one.two"),
        ("collection", "com.example.note/../x"),
        ("collection", "com.example.1note"),
        ("collection", "com.exa mple.note"),
        ("collection", "com.example." + "a" * 400),
        ("rkey", 7),
        ("validate", "yes"),
        ("swapCommit", "nonsense"),
        ("swapCommit", "Qm" + "a" * 44),
        ("swapCommit", 1),
    ],
)
def test_fields(client, field, value):
    refused(client.post(CREATE, {**body(client), field: value}), 400, mentions=field)


@pytest.mark.parametrize("field", ["repo", "collection", "record"])
def test_missing_fields(client, field):
    refused(
        client.post(CREATE, {name: value for name, value in body(client).items() if name != field}), 400, mentions=field
    )


@pytest.mark.parametrize(
    "rkey",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/a",
        "a" * 513,
        "ä",
        "a b",
        "a\u0000",
        "%2e%2e",
        "a\\b",
        "a#b",
        "a?b",
        "@",
        "💥",
        "a\n",
    ],
)
def test_record_keys(client, rkey):
    refused(client.post(CREATE, {**body(client), "rkey": rkey}), 400, mentions="rkey")
    refused(client.put("com.example.note", rkey, NOTE), 400, mentions="rkey")
    refused(client.delete("com.example.note", rkey), 400, mentions="rkey")
    refused(
        client.get("com.atproto.repo.getRecord", repo=client.did, collection="com.example.note", rkey=rkey),
        400,
        mentions="rkey",
    )


@pytest.mark.parametrize(
    ("nsid", "field", "value"),
    [
        ("com.atproto.repo.listRecords", "limit", 0),
        ("com.atproto.repo.listRecords", "limit", 101),
        ("com.atproto.repo.listRecords", "limit", -1),
        ("com.atproto.repo.listRecords", "limit", "ten"),
        ("com.atproto.repo.listRecords", "limit", 10**30),
        ("com.atproto.repo.listRecords", "limit", "1.0"),
        ("com.atproto.repo.listRecords", "reverse", "perhaps"),
        ("com.atproto.repo.listRecords", "collection", "../../etc"),
        ("com.atproto.repo.listRecords", "repo", "../../etc"),
        ("com.atproto.repo.getRecord", "cid", "zzz"),
        ("com.atproto.repo.describeRepo", "repo", "did:plc:" + "a" * 3000),
        ("com.atproto.sync.getRepo", "did", "alice.test"),
        ("com.atproto.sync.getRepo", "did", "did:plc"),
        ("com.atproto.sync.getRepo", "since", "not-a-tid"),
        ("com.atproto.sync.getRepo", "since", "z" * 13),
        ("com.atproto.sync.getRecord", "collection", "x"),
        ("com.atproto.sync.getBlocks", "cids", "nonsense"),
        ("com.atproto.sync.getBlob", "cid", "bafy"),
        ("com.atproto.sync.getBlob", "cid", A_CID + "aaaa"),
        ("com.atproto.sync.listBlobs", "limit", 1001),
        ("com.atproto.sync.listBlobs", "cursor", "../../x"),
        ("com.atproto.sync.listRepos", "limit", 0),
        ("com.atproto.sync.listRepos", "cursor", "nonsense"),
        ("com.atproto.sync.listRepos", "cursor", "9" * 400),
        ("com.atproto.sync.listReposByCollection", "collection", "x"),
        ("com.atproto.identity.resolveHandle", "handle", "no spaces.test"),
        ("com.atproto.identity.resolveHandle", "handle", "-a.test"),
        ("com.atproto.identity.resolveHandle", "handle", "a" * 300 + ".test"),
        ("com.atproto.identity.resolveHandle", "handle", "did:plc:x"),
        ("com.atproto.identity.resolveHandle", "handle", ""),
        ("com.atproto.identity.resolveDid", "did", "did:plc:short\u0000"),
        ("com.atproto.identity.resolveIdentity", "identifier", "//"),
    ],
)
def test_parameters(client, nsid, field, value):
    sensible = {
        "com.atproto.repo.listRecords": {"repo": client.did, "collection": "com.example.note"},
        "com.atproto.repo.getRecord": {"repo": client.did, "collection": "com.example.note", "rkey": "first"},
        "com.atproto.sync.getRepo": {"did": client.did},
        "com.atproto.sync.getRecord": {"did": client.did, "collection": "com.example.note", "rkey": "first"},
        "com.atproto.sync.getBlocks": {"did": client.did},
        "com.atproto.sync.getBlob": {"did": client.did},
        "com.atproto.sync.listBlobs": {"did": client.did},
    }.get(nsid, {})
    refused(client.get(nsid, **{**sensible, field: value}), 400, mentions=field)


@pytest.mark.parametrize(
    ("nsid", "missing"),
    [
        ("com.atproto.repo.listRecords", "repo"),
        ("com.atproto.repo.getRecord", "repo"),
        ("com.atproto.repo.describeRepo", "repo"),
        ("com.atproto.sync.getRepo", "did"),
        ("com.atproto.sync.getBlob", "cid"),
        ("com.atproto.sync.getBlocks", "did"),
        ("com.atproto.sync.getLatestCommit", "did"),
        ("com.atproto.identity.resolveHandle", "handle"),
    ],
)
def test_missing_parameters(client, nsid, missing):
    refused(client.get(nsid), 400, mentions=missing)


@pytest.mark.parametrize("query", ["?did=%", "?did=%zz", "?did=%ff%fe", "?" + "a=b&" * 20_000, "?did=" + "x" * 100_000])
def test_query_strings(client, query):
    answer = client.raw("GET", "/xrpc/com.atproto.sync.getRepo" + query)
    assert 400 <= answer.status < 500, str(answer)


def test_unknown_parameters_are_ignored(client):
    assert client.get("com.atproto.sync.getLatestCommit", did=client.did, colour="blue").status == 200


# Records against their schemas


@pytest.mark.parametrize(
    ("collection", "change", "mentions"),
    [
        ("app.bsky.feed.post", {"text": None}, "text"),
        ("app.bsky.feed.post", {"text": "x" * 3001}, "text"),
        ("app.bsky.feed.post", {"text": "é" * 301}, "text"),
        ("app.bsky.feed.post", {"createdAt": "yesterday"}, "createdAt"),
        ("app.bsky.feed.post", {"createdAt": "2024-01-01"}, "createdAt"),
        ("app.bsky.feed.post", {"createdAt": "2024-01-01T00:00:00-00:00"}, "createdAt"),
        ("app.bsky.feed.post", {"langs": ["en", "de", "fr", "it"]}, "langs"),
        ("app.bsky.feed.post", {"langs": ["not a language!"]}, "langs"),
        ("app.bsky.feed.post", {"tags": ["x" * 641]}, "tags"),
        ("app.bsky.feed.post", {"reply": {"root": {"uri": "at://x", "cid": A_CID}}}, "reply"),
        ("app.bsky.feed.post", {"$type": "app.bsky.feed.like"}, "type"),
        ("app.bsky.graph.follow", {"subject": "not-a-did"}, "subject"),
        ("app.bsky.feed.like", {"subject": {"uri": "https://example.com", "cid": A_CID}}, "subject"),
        ("app.bsky.graph.list", {"name": ""}, "name"),
    ],
)
def test_records_against_their_schema(client, collection, change, mentions):
    sensible = {
        "app.bsky.feed.post": {"text": "fine"},
        "app.bsky.graph.follow": {"subject": client.did},
        "app.bsky.feed.like": {"subject": {"uri": f"at://{client.did}/app.bsky.feed.post/a", "cid": A_CID}},
        "app.bsky.graph.list": {"name": "fine", "purpose": "app.bsky.graph.defs#curatelist"},
    }[collection]
    record = {"$type": collection, "createdAt": kith.now(), **sensible, **change}
    refused(client.create(collection, record), 400, mentions=mentions)


def test_validation_modes(client):
    refused(client.create("com.example.note", NOTE, validate=True), 400)
    refused(client.create("app.bsky.feed.post", {"text": "x"}, validate=True), 400)
    refused(client.create("app.bsky.feed.post", {"text": "x"}), 400)


def test_fixed_record_keys(client):
    profile = {"$type": "app.bsky.actor.profile", "displayName": "x"}
    refused(client.put("app.bsky.actor.profile", "other", profile), 400, mentions="self")
    refused(client.create("app.bsky.feed.post", kith.post_record(), rkey="not-a-tid"), 400)


# Swaps and targets


def test_swaps_that_do_not_match(client):
    for answer in (
        client.create("com.example.note", NOTE, swapCommit=A_CID),
        client.put("com.example.note", "first", {**NOTE, "text": "other"}, swapCommit=A_CID),
        client.put("com.example.note", "first", {**NOTE, "text": "other"}, swapRecord=A_CID),
        client.put("com.example.note", "first", {**NOTE, "text": "other"}, swapRecord=None),
        client.put("com.example.note", "absent", NOTE, swapRecord=A_CID),
        client.delete("com.example.note", "first", swapRecord=A_CID),
        client.delete("com.example.note", "first", swapCommit=A_CID),
        client.post(
            "com.atproto.repo.applyWrites",
            repo=client.did,
            swapCommit=A_CID,
            writes=[write("delete", "first")],
        ),
    ):
        refused(answer, 400, names={"InvalidSwap"})


def write(kind, rkey, value=None):
    one = {"$type": f"com.atproto.repo.applyWrites#{kind}", "collection": "com.example.note", "rkey": rkey}
    return one if kind == "delete" else {**one, "value": value or NOTE}


@pytest.mark.parametrize(
    "writes",
    [
        [write("create", "first")],
        [write("update", "absent")],
        [write("delete", "absent")],
        [write("create", "new"), write("create", "new")],
        [write("create", "new"), write("delete", "new")],
        [write("create", "new"), write("create", "first")],
        [write("create", f"n{index}") for index in range(201)],
        [{"$type": "com.atproto.repo.applyWrites#rename", "collection": "com.example.note", "rkey": "first"}],
        [{"collection": "com.example.note", "rkey": "first"}],
        ["first"],
        "first",
        [write("create", "new", {"$type": "com.example.other"})],
        [write("create", "new", {"x": 1.5})],
    ],
    ids=lambda writes: str(writes)[:60],
)
def test_batches_are_whole_or_nothing(client, writes):
    refused(client.post("com.atproto.repo.applyWrites", repo=client.did, writes=writes), 400)


def test_an_existing_key_is_not_overwritten(client):
    refused(client.create("com.example.note", {**NOTE, "text": "other"}, rkey="first"), 400)


def test_another_person_s_repository(server, client):
    stranger = server.account()
    record = body(client)
    refused(stranger.post(CREATE, record), 400, 401, 403)
    refused(stranger.post("com.atproto.repo.putRecord", {**record, "rkey": "first"}), 400, 401, 403)
    refused(
        stranger.post("com.atproto.repo.deleteRecord", repo=client.did, collection="com.example.note", rkey="first"),
        400,
        401,
        403,
    )
    refused(
        stranger.post("com.atproto.repo.applyWrites", repo=client.handle, writes=[write("delete", "first")]),
        400,
        401,
        403,
    )


# Sizes


def test_oversized_bodies(client):
    refused(send(client, json.dumps(body(client, {**NOTE, "text": "x" * 3_000_000})).encode()), 400, 413)
    refused(send(client, b'{"x":"' + b"y" * 3_000_000 + b'"}', nsid="com.atproto.server.createSession"), 413)


def test_oversized_records(client):
    refused(client.create("com.example.note", {"$type": "com.example.note", "text": "x" * 1_000_001}), 400, 413)


def test_oversized_commits(client):
    """A commit of more than two million bytes could not be sent to anybody."""
    value = {"$type": "com.example.note", "text": "x" * 90_000}
    writes = [write("create", f"big{index}", value) for index in range(25)]
    refused(client.post("com.atproto.repo.applyWrites", repo=client.did, writes=writes), 400, 413)


def test_endless_body(server):
    """A body whose length isn't known beforehand is cut at the limit, not read to its end."""
    client = server.account()

    def pieces():
        for _ in range(200):
            yield b'{"x":"' + b"y" * 65_536

    try:
        answer = client.raw("POST", f"/xrpc/{CREATE}", data=pieces(), headers={"Content-Type": "application/json"})
    except OSError:
        return
    refused(answer, 413)


def test_compressed_bombs(client):
    """The limit counts what comes out of a compressed body."""
    import gzip

    bomb = gzip.compress(b'{"x":"' + b"y" * 50_000_000 + b'"}')
    answer = client.post(CREATE, data=bomb, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    refused(answer, 400, 413, 415)


# Verbs, types, addresses


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "PATCH"])
def test_queries_take_get(client, verb):
    refused(client.raw(verb, f"/xrpc/com.atproto.sync.getLatestCommit?did={client.did}"), 400, 405)


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "PATCH"])
def test_procedures_take_post(client, verb):
    refused(client.raw(verb, f"/xrpc/{CREATE}"), 400, 405)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/cbor", "nonsense", "", "*/*", None]
)
def test_content_types(client, content_type):
    refused(send(client, json.dumps(body(client)).encode(), content_type), 400, 415)


def test_content_type_with_parameters_is_served(client):
    answer = client.get("com.atproto.server.getSession", headers={"Accept": "application/json; charset=utf-8"})
    assert answer.status == 200


def test_a_body_where_none_is_taken(client):
    refused(client.post("com.atproto.server.activateAccount", {"x": 1}), 400)


@pytest.mark.parametrize(
    "nsid",
    ["com.example.unknown", "com.atproto.repo.unknown", "net.openfederation.account.unknown", "social.kith.unknown"],
)
def test_unknown_methods(client, nsid):
    for answer in (client.get(nsid), client.post(nsid, x=1)):
        assert answer.status in (404, 501) and answer.error in ("MethodNotImplemented", "MethodNotFound"), str(answer)


@pytest.mark.parametrize(
    "path", ["/xrpc/", "/xrpc", "/xrpc/a", "/xrpc/a.b", "/xrpc/../etc/passwd", "/xrpc/%2e%2e", "/xrpc//"]
)
def test_malformed_methods(client, path):
    answer = client.raw("GET", path)
    assert 400 <= answer.status < 502 and answer.status != 500, str(answer)


@pytest.mark.parametrize("path", ["/nothing", "/.env", "/plc/", "/plc/nothing", "/..%2f..%2fetc/passwd", "/\u0000"])
def test_unknown_addresses(client, path):
    answer = client.raw("GET", path)
    assert answer.status in (400, 404), str(answer)


# Tokens


def encoded(part):
    return keys.base64url(json.dumps(part).encode())


def jwt(header, payload, signature=b"x" * 32):
    return ".".join([encoded(header), encoded(payload), keys.base64url(signature)])


def tokens(server, client):
    """Bearer values that open nothing."""
    header, payload, signature = client.token.split(".")

    def part(text):
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    claims, soon = part(payload), int(time.time()) + 1000
    newcomer = keys.Newcomer(server, "token.example")
    host = server.anonymous().get("com.atproto.server.describeServer").ok()["did"]
    method = "com.atproto.server.getSession"
    return {
        "empty": "",
        "garbage": "garbage",
        "two parts": f"{header}.{payload}",
        "four parts": f"{client.token}.x",
        "not base64": f"*.{payload}.{signature}",
        "alg none": jwt({"typ": "at+jwt", "alg": "none"}, claims, b""),
        "alg none, signature kept": f"{encoded({**part(header), 'alg': 'none'})}.{payload}.{signature}",
        "no signature": f"{header}.{payload}.",
        "other signature": f"{header}.{payload}.{keys.base64url(b'x' * 32)}",
        "other claims": f"{header}.{encoded({**claims, 'exp': soon})}.{signature}",
        "other subject": f"{header}.{encoded({**claims, 'sub': newcomer.did})}.{signature}",
        "refresh token": client.refresh_token,
        "self-made": jwt(
            {"typ": "at+jwt", "alg": "HS256"}, {"sub": client.did, "exp": soon, "scope": "com.atproto.access"}
        ),
        "service, wrong audience": newcomer.token(method, "did:web:elsewhere.example"),
        "service, wrong method": newcomer.token("com.atproto.repo.uploadBlob", host),
        "service, expired": newcomer.token(method, host, exp=1000),
        "service, alg none": newcomer.token(method, host, header={"alg": "none"}),
        "service, another's name": keys.service_token(newcomer.signing, client.did, host, method),
        "huge": "a" * 200_000,
        "many dots": "." * 10_000,
    }


def test_tokens_that_open_nothing(server, client):
    for name, token in tokens(server, client).items():
        for call in (
            lambda headers: client.get("com.atproto.server.getSession", headers=headers),
            lambda headers: client.post(CREATE, body(client), headers=headers),
        ):
            try:
                answer = call({"Authorization": f"Bearer {token}"})
            except ConnectionError:
                continue
            assert answer.status in (400, 401, 403, 431), f"{name}: {answer}"
            if answer.status != 431:
                assert answer.error, name


@pytest.mark.parametrize(
    "value", ["Bearer", "Basic", "Basic !!!", "Basic YWRtaW46d3Jvbmc=", "Digest x", "x", "Basic " + "A" * 9000]
)
def test_authorization_headers(server, client, value):
    for answer in (
        client.get("com.atproto.server.getSession", headers={"Authorization": value}),
        client.get("net.openfederation.account.list", headers={"Authorization": value}),
    ):
        refused(answer, 400, 401, 403)


def test_an_expired_token_says_so(server, client):
    """Clients refresh on ExpiredToken and on nothing else; a malformed token must not look like it."""
    answer = client.get("com.atproto.server.getSession", headers={"Authorization": "Bearer a.b.c"})
    assert answer.error != "ExpiredToken"


# Below HTTP


def exchange(server, data, limit_s=15):
    """What comes back to raw bytes, to the end of the connection or the limit."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=limit_s)
    plain.sendall(data)
    received = b""
    try:
        while piece := plain.recv(65536):
            received += piece
            if b"\r\n\r\n" in received:
                break
    except (TimeoutError, ConnectionResetError):
        pass
    plain.close()
    return received


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /xrpc/_health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /xrpc/_health HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Content-Length: 6\r\n\r\nhello",
        b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"zzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /xrpc/_health HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
        b"GET /xrpc/_health HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    ],
    ids=lambda data: data[:40].decode("latin-1"),
)
def test_requests_that_are_none(server, data):
    try:
        received = exchange(server, data)
    except (ConnectionResetError, BrokenPipeError):
        return
    assert not received or received.split(b" ")[1][:1] == b"4" or received.startswith(b"HTTP/1.1 505"), received[:200]


def test_slow_clients_hold_nobody_up(server, client):
    """Three hundred half-sent requests: everybody else is served as before."""
    slow = []
    for _ in range(300):
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        plain.sendall(b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        slow.append(plain)
    began = time.monotonic()
    for _ in range(20):
        client.get("com.atproto.server.getSession").ok()
    assert time.monotonic() - began < SECONDS_MAX
    for plain in slow:
        plain.close()


def test_slow_client_is_let_go(make_server):
    """A request that doesn't come to its end is ended by the server."""
    server = make_server()
    heads = [
        b"GET /xrpc/_health HTTP/1.1\r\nHost: loc",
        b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{",
    ]
    slow = []
    for head in heads:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=100)
        plain.sendall(head)
        slow.append(plain)
    began = time.monotonic()
    for plain in slow:
        while plain.recv(4096):
            pass
        plain.close()
    assert time.monotonic() - began < 95
