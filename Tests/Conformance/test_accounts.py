"""Registration, approval, invites, sessions, app passwords, handles and the embedded identity directory."""

import base64
import json

import pytest
import requests

import keys
import kith

REGISTER = "net.openfederation.account.register"
REFRESH = "com.atproto.server.refreshSession"


@pytest.fixture(scope="module")
def gated(request):
    """A server where an invite and an approval are needed, as they are outside development."""
    server = kith.Server(environment={"KITH_INVITE_REQUIRED": "true", "KITH_APPROVAL_REQUIRED": "true"}).start()
    yield server
    assert server.alive(), server.log_tail()
    server.remove()


@pytest.fixture(scope="module")
def admin(gated):
    return gated.admin()


def invite(admin, **more):
    answer = admin.post("net.openfederation.invite.create", {"maxUses": 1, **more})
    assert answer.status in (200, 201), str(answer)
    return answer.json["code"]


def register(server, name=None, **more):
    name = name or kith.unique("reg")
    body = {"handle": name, "email": f"{name}@mail.test", "password": kith.PASSWORD, **more}
    return server.anonymous().post(REGISTER, body)


def registered(server, admin, name=None, **more):
    answer = register(server, name, inviteCode=invite(admin), **more)
    assert answer.status in (200, 201), str(answer)
    return answer.json


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# The administrator who is there from the start


def test_bootstrap_administrator(gated, admin):
    session = admin.get("com.atproto.server.getSession").ok()
    assert session["handle"].startswith(kith.ADMIN_HANDLE) and session["active"] is True
    users = admin.get("net.openfederation.account.list", role="admin").ok()["users"]
    assert [user["did"] for user in users] == [admin.did]
    assert "admin" in users[0]["roles"]


def test_administrator_is_not_made_twice(own_server):
    own_server.stop()
    own_server.start()
    own_server.admin()
    users = own_server.operator().get("net.openfederation.account.list", role="admin").ok()["users"]
    assert len(users) == 1


# Registration and approval


def test_register_wait_approve(gated, admin):
    made = registered(gated, admin)
    assert made["status"] == "pending" and made["did"].startswith("did:plc:")
    name = made["handle"].split(".")[0]
    refused = gated.anonymous().post(
        "com.atproto.server.createSession", identifier=made["handle"], password=kith.PASSWORD
    )
    assert refused.status == 403 and refused.error == "AccountNotApproved"
    pending = admin.get("net.openfederation.account.listPending", limit=100).ok()
    assert made["handle"] in [user["handle"] for user in pending["users"]]

    approved = admin.post("net.openfederation.account.approve", handle=made["handle"]).ok()
    assert approved["status"] == "approved"
    again = admin.post("net.openfederation.account.approve", handle=made["handle"])
    assert again.status == 404 and again.error == "NotFound"
    client = gated.sign_in(name)
    client.create("app.bsky.feed.post", kith.post_record()).ok()
    pending = admin.get("net.openfederation.account.listPending", limit=100).ok()
    assert made["handle"] not in [user["handle"] for user in pending["users"]]


def test_approve_by_each_name(gated, admin):
    for field in ("handle", "email", "userId"):
        made = registered(gated, admin)
        value = made["id"] if field == "userId" else made[field]
        assert admin.post("net.openfederation.account.approve", {field: value}).ok()["status"] == "approved"
    assert admin.post("net.openfederation.account.approve", {}).status == 400


def test_reject(gated, admin):
    made = registered(gated, admin)
    assert admin.post("net.openfederation.account.reject", handle=made["handle"]).ok()["status"] == "rejected"
    refused = gated.anonymous().post(
        "com.atproto.server.createSession", identifier=made["handle"], password=kith.PASSWORD
    )
    assert refused.status == 403 and refused.error == "AccountNotApproved"
    users = admin.get("net.openfederation.account.list", status="rejected").ok()["users"]
    assert made["did"] in [user["did"] for user in users]


def test_pending_accounts_are_not_shown(gated, admin):
    made = registered(gated, admin)
    anonymous = gated.anonymous()
    assert anonymous.get("com.atproto.sync.getRepo", did=made["did"]).status == 400
    assert anonymous.get("com.atproto.identity.resolveHandle", handle=made["handle"]).status == 400
    assert made["did"] not in [repo["did"] for repo in repositories(gated)]
    assert anonymous.get("com.atproto.repo.describeRepo", repo=made["did"]).error == "RepoNotFound"
    assert anonymous.get("com.atproto.identity.resolveDid", did=made["did"]).error == "DidNotFound"
    assert anonymous.get("com.atproto.identity.resolveIdentity", identifier=made["did"]).error == "DidNotFound"
    assert anonymous.get("com.atproto.identity.resolveIdentity", identifier=made["handle"]).error == "HandleNotFound"
    pages = ["", "/data", "/log", "/log/last", "/log/audit"]
    assert [anonymous.raw("GET", f"/plc/{made['did']}{page}").status for page in pages] == [404] * 5

    cursor, seen = follow_export(gated, "0")
    assert made["did"] not in seen
    admin.post("net.openfederation.account.approve", userId=made["did"]).ok()
    assert made["did"] in follow_export(gated, cursor)[1], "a follower of the directory missed it"
    assert [anonymous.raw("GET", f"/plc/{made['did']}{page}").status for page in pages] == [200] * 5


def follow_export(server, cursor):
    """Reads the directory's export to its end from a cursor; the new cursor, and whose operations came."""
    dids = []
    while True:
        text = server.anonymous().raw("GET", f"/plc/export?count=1000&after={cursor}").content.decode()
        lines = [json.loads(line) for line in text.splitlines()]
        if not lines:
            return cursor, dids
        dids += [line["did"] for line in lines]
        assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
        cursor = lines[-1]["seq"]


def repositories(server):
    found, cursor = [], None
    while True:
        page = (
            server.anonymous()
            .get("com.atproto.sync.listRepos", limit=50, **({"cursor": cursor} if cursor else {}))
            .ok()
        )
        found += page["repos"]
        cursor = page.get("cursor")
        if not cursor:
            return found


def test_list_pages_and_filters(gated, admin):
    names = [registered(gated, admin)["handle"] for _ in range(3)]
    whole = admin.get("net.openfederation.account.list", limit=100).ok()
    assert whole["total"] == len(whole["users"]) >= 4
    paged = []
    while len(paged) < whole["total"]:
        page = admin.get("net.openfederation.account.list", limit=2, offset=len(paged)).ok()
        assert page["users"] and page["limit"] == 2 and page["offset"] == len(paged)
        paged += [user["did"] for user in page["users"]]
    assert sorted(paged) == sorted(user["did"] for user in whole["users"])
    found = admin.get("net.openfederation.account.list", q=names[0].split(".")[0]).ok()["users"]
    assert [user["handle"] for user in found] == [names[0]]
    found = admin.get("net.openfederation.account.list", q=f"{names[1].split('.')[0]}@mail").ok()["users"]
    assert [user["handle"] for user in found] == [names[1]]
    assert admin.get("net.openfederation.account.list", q="%").ok()["users"] == []
    assert admin.get("net.openfederation.account.list", status="odd").status == 400
    assert admin.get("net.openfederation.account.list", limit=0).status == 400


def test_lists_are_for_the_house(gated, admin):
    made = registered(gated, admin)
    admin.post("net.openfederation.account.approve", handle=made["handle"]).ok()
    user = gated.sign_in(made["handle"])
    for caller, statuses in ((gated.anonymous(), (401,)), (user, (403,))):
        for nsid in ("net.openfederation.account.list", "net.openfederation.account.listPending"):
            assert caller.get(nsid).status in statuses
        assert caller.get("net.openfederation.invite.list").status in statuses
        assert caller.post("net.openfederation.invite.create", maxUses=1).status in statuses
        assert caller.post("net.openfederation.account.approve", handle=made["handle"]).status in statuses


def test_taken_names(gated, admin):
    made = registered(gated, admin)
    name = made["handle"].split(".")[0]
    for body in (
        {"handle": name},
        {"handle": name.upper()},
        {"handle": made["handle"]},
        {"handle": kith.unique(), "email": f"{name}@mail.test"},
        {"handle": kith.unique(), "email": f"{name.upper()}@MAIL.test"},
    ):
        fields = {"email": f"{kith.unique()}@mail.test", "password": kith.PASSWORD, "inviteCode": invite(admin), **body}
        answer = gated.anonymous().post(REGISTER, fields)
        assert answer.status == 409 and answer.error == "AccountExists", str(answer)


@pytest.mark.parametrize(
    "handle",
    [
        "ab",
        "-abc",
        "abc-",
        "a--b",
        "a_b",
        "admin",
        "root",
        "xrpc",
        "a" * 31,
        "abc.elsewhere.example",
        "a b c",
        "",
        "日本",
        "a.b.c",
    ],
)
def test_refused_names(gated, admin, handle):
    answer = gated.anonymous().post(
        REGISTER,
        handle=handle,
        email=f"{kith.unique()}@mail.test",
        password=kith.PASSWORD,
        inviteCode=invite(admin),
    )
    assert answer.status == 400 and "handle" in answer.message.lower(), str(answer)


@pytest.mark.parametrize("password", ["", "short-1A", "alllowercaseletters", "1234567890123", "A1-" * 100])
def test_refused_passwords(gated, admin, password):
    answer = register(gated, password=password, inviteCode=invite(admin))
    assert answer.status == 400 and "password" in answer.message.lower(), str(answer)


@pytest.mark.parametrize("email", ["", "x", "x@", "@x.test", "a b@x.test", "a@b@c.test", "x@" + "y" * 300 + ".test"])
def test_refused_addresses(gated, admin, email):
    answer = register(gated, email=email, inviteCode=invite(admin))
    assert answer.status == 400 and "email" in answer.message.lower().replace("-", ""), str(answer)


# Invites


def test_invites(gated, admin):
    assert register(gated).error == "InviteRequired"
    assert register(gated, inviteCode="no-such-code").error == "InviteInvalid"
    code = invite(admin, maxUses=2)
    for _ in range(2):
        assert register(gated, inviteCode=code).status in (200, 201)
    used = register(gated, inviteCode=code)
    assert used.status == 403 and used.error == "InviteUsed"
    listed = {one["code"]: one for one in admin.get("net.openfederation.invite.list", limit=100).ok()["invites"]}
    assert listed[code]["usesCount"] == 2 and listed[code]["status"] == "exhausted"
    exhausted = admin.get("net.openfederation.invite.list", status="exhausted", limit=100).ok()["invites"]
    assert code in [one["code"] for one in exhausted]
    assert listed[code]["createdByHandle"].startswith(kith.ADMIN_HANDLE)


def test_expired_invite(gated, admin):
    answer = admin.post("net.openfederation.invite.create", expiresAt="2001-01-01T00:00:00Z")
    if answer.status == 400:
        return
    assert register(gated, inviteCode=answer.json["code"]).error == "InviteExpired"


def test_invite_bound_to_an_address(gated, admin):
    code = invite(admin, boundTo="chosen@mail.test")
    other = register(gated, inviteCode=code)
    assert other.status == 403 and other.error == "InviteBound"
    assert register(gated, email="chosen@mail.test", inviteCode=code).status in (200, 201)


def test_a_failed_registration_keeps_the_invite(gated, admin):
    code = invite(admin)
    assert register(gated, name="ab", inviteCode=code).status == 400
    assert register(gated, password="short", inviteCode=code).status == 400
    assert register(gated, inviteCode=code).status in (200, 201)


def test_protocol_s_own_door_asks_for_the_invite(gated, admin):
    name, domain = kith.unique(), gated.domain()
    body = {"handle": name + domain, "email": f"{name}@mail.test", "password": kith.PASSWORD}
    without = gated.anonymous().post("com.atproto.server.createAccount", body)
    assert without.status == 400 and without.error == "InvalidInviteCode"
    described = gated.anonymous().get("com.atproto.server.describeServer").ok()
    assert described["inviteCodeRequired"] is True


def test_protocol_s_own_invites(gated):
    operator = gated.operator()
    code = operator.post("com.atproto.server.createInviteCode", useCount=1)
    if code.status == 501:
        pytest.skip("createInviteCode is not served")
    assert register(gated, inviteCode=code.ok()["code"]).status in (200, 201)


# Sessions


def test_sign_in_by_each_name(server):
    client = server.account()
    name = client.handle.split(".")[0]
    for identifier in (client.handle, client.handle.upper(), name, client.email, client.email.upper(), client.did):
        assert server.sign_in(identifier).did == client.did
    session = server.sign_in(name).get("com.atproto.server.getSession").ok()
    assert (session["did"], session["handle"]) == (client.did, client.handle)
    assert session["email"] == client.email and session["active"] is True
    assert session["didDoc"]["id"] == client.did


def test_unknown_name_and_wrong_password_look_alike(server):
    client = server.account()
    answers = [
        server.anonymous().post("com.atproto.server.createSession", identifier=identifier, password=password)
        for identifier, password in (
            (client.handle, "wrong-Password-1"),
            ("nobody-at-all.test", "wrong-Password-1"),
            ("nobody@mail.test", "wrong-Password-1"),
            ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "wrong-Password-1"),
            (client.handle, ""),
            (client.handle, "x" * 5000),
        )
    ]
    assert {answer.status for answer in answers} <= {401, 400}
    assert {answer.content for answer in answers[:4]} == {answers[0].content}
    assert answers[0].status == 401


def test_tokens_are_of_the_agreed_shape(server):
    client = server.account()
    access, refresh = claims(client.token), claims(client.refresh_token)
    assert access["scope"] == "com.atproto.access" and refresh["scope"] == "com.atproto.refresh"
    assert access["sub"] == refresh["sub"] == client.did
    assert access["exp"] > access["iat"] and refresh["exp"] > access["exp"] and refresh["jti"]


def test_refresh_rotates(server):
    client = server.account()
    first = client.refresh_token
    second = client.post(REFRESH, headers=bearer(first)).ok()
    assert second["did"] == client.did and second["handle"] == client.handle
    third = client.post(REFRESH, headers=bearer(second["refreshJwt"])).ok()
    assert len({claims(token)["jti"] for token in (first, second["refreshJwt"], third["refreshJwt"])}) == 3
    assert client.get("com.atproto.server.getSession", headers=bearer(third["accessJwt"])).ok()["did"] == client.did


def test_racing_tabs_converge(server):
    client = server.account()
    answers = kith.in_threads(8, range(8), lambda _: client.again().post(REFRESH, headers=bearer(client.refresh_token)))
    assert {answer.status for answer in answers} == {200}, [str(answer) for answer in answers]
    assert len({claims(answer.json["refreshJwt"])["jti"] for answer in answers}) == 1
    late = client.post(REFRESH, headers=bearer(client.refresh_token)).ok()
    assert claims(late["refreshJwt"])["jti"] == claims(answers[0].json["refreshJwt"])["jti"]


def test_a_stolen_refresh_token_ends_the_family(server):
    client = server.account()
    second = client.post(REFRESH, headers=bearer(client.refresh_token)).ok()
    third = client.post(REFRESH, headers=bearer(second["refreshJwt"])).ok()
    stolen = client.post(REFRESH, headers=bearer(client.refresh_token))
    assert stolen.status in (400, 401) and stolen.error in ("ExpiredToken", "InvalidToken")
    ended = client.post(REFRESH, headers=bearer(third["refreshJwt"]))
    assert ended.status in (400, 401) and ended.error in ("ExpiredToken", "InvalidToken")
    other = server.sign_in(client.handle)
    other.post(REFRESH, headers=bearer(other.refresh_token)).ok()


def test_tokens_are_not_interchangeable(server):
    client = server.account()
    assert client.post(REFRESH).error == "InvalidToken"
    assert client.get("com.atproto.server.getSession", headers=bearer(client.refresh_token)).error == "InvalidToken"


def test_sign_out(server):
    client = server.account()
    client.post("com.atproto.server.deleteSession", headers=bearer(client.refresh_token)).ok()
    gone = client.post(REFRESH, headers=bearer(client.refresh_token))
    assert gone.status in (400, 401) and gone.error in ("ExpiredToken", "InvalidToken")


def test_service_auth(server):
    client = server.account()
    token = client.get(
        "com.atproto.server.getServiceAuth", aud="did:web:elsewhere.example", lxm="com.atproto.repo.uploadBlob"
    ).ok()["token"]
    said = claims(token)
    assert said["iss"] == client.did and said["aud"] == "did:web:elsewhere.example"
    assert said["lxm"] == "com.atproto.repo.uploadBlob" and 0 < said["exp"] - said["iat"] <= 300
    import judge

    document = server.anonymous().raw("GET", f"/plc/{client.did}").ok()
    body, _, signature = token.rpartition(".")
    judge.check_signature(judge.signing_key(document), base64.urlsafe_b64decode(signature + "=="), body.encode())
    for parameters in (
        {"aud": "nobody"},
        {"aud": "did:web:x.example", "exp": 1},
        {"aud": "did:web:x.example", "exp": 2**40},
    ):
        assert client.get("com.atproto.server.getServiceAuth", **parameters).status == 400


# App passwords


def test_app_passwords(server):
    client = server.account()
    made = client.post("com.atproto.server.createAppPassword", name="phone").ok()
    assert made["name"] == "phone" and len(made["password"]) == 19 and made["password"].count("-") == 3
    assert client.post("com.atproto.server.createAppPassword", name="phone").status == 400
    assert client.post("com.atproto.server.createAppPassword", name="").status == 400
    privileged = client.post("com.atproto.server.createAppPassword", name="desk", privileged=True).ok()
    listed = {one["name"]: one for one in client.get("com.atproto.server.listAppPasswords").ok()["passwords"]}
    assert set(listed) == {"phone", "desk"} and "password" not in listed["phone"]
    assert listed["desk"]["privileged"] is True and not listed["phone"].get("privileged")

    phone = server.sign_in(client.handle, made["password"])
    desk = server.sign_in(client.handle, privileged["password"])
    assert claims(phone.token)["scope"] == "com.atproto.appPass"
    assert claims(desk.token)["scope"] == "com.atproto.appPassPrivileged"
    phone.create("app.bsky.feed.post", kith.post_record()).ok()
    assert phone.get("com.atproto.server.getSession").ok()["did"] == client.did
    for nsid, body in (
        ("com.atproto.server.createAppPassword", {"name": "x"}),
        ("com.atproto.server.deactivateAccount", {}),
        ("com.atproto.server.activateAccount", None),
        ("com.atproto.identity.updateHandle", {"handle": "x.test"}),
    ):
        refused = phone.post(nsid, body)
        assert refused.status in (400, 401, 403) and refused.error, f"{nsid}: {refused}"
    refreshed = phone.post(REFRESH, headers=bearer(phone.refresh_token)).ok()
    assert claims(refreshed["accessJwt"])["scope"] == "com.atproto.appPass"

    client.post("com.atproto.server.revokeAppPassword", name="phone").ok()
    assert phone.post(REFRESH, headers=bearer(refreshed["refreshJwt"])).status in (400, 401)
    assert (
        server.anonymous()
        .post("com.atproto.server.createSession", identifier=client.handle, password=made["password"])
        .status
        == 401
    )
    desk.post(REFRESH, headers=bearer(desk.refresh_token)).ok()


# Handles


def test_handles(server):
    client, other = server.account(), server.account()
    domain, before = server.domain(), client.handle
    after = kith.unique("new") + domain
    client.post("com.atproto.identity.updateHandle", handle=after).ok()
    resolve = "com.atproto.identity.resolveHandle"
    assert server.anonymous().get(resolve, handle=after).ok()["did"] == client.did
    assert server.anonymous().get(resolve, handle=after.upper()).ok()["did"] == client.did
    gone = server.anonymous().get(resolve, handle=before)
    assert gone.status == 400 and gone.error in ("HandleNotFound", "InvalidRequest")
    document = server.anonymous().raw("GET", f"/plc/{client.did}").ok()
    assert document["alsoKnownAs"] == [f"at://{after}"]
    assert client.get("com.atproto.repo.describeRepo", repo=after).ok()["handleIsCorrect"] is True
    assert other.post("com.atproto.identity.updateHandle", handle=after).status == 400
    for bad in ("admin" + domain, "ab" + domain, "a.b" + domain, "nowhere.example", "x", ""):
        assert other.post("com.atproto.identity.updateHandle", handle=bad).status == 400, bad
    client.post("com.atproto.identity.updateHandle", handle=after).ok()
    assert server.sign_in(after).did == client.did


def test_well_known(server):
    client = server.account()
    address = server.base + "/.well-known/atproto-did"
    answer = requests.get(address, headers={"Host": client.handle}, timeout=10)
    assert answer.status_code == 200 and answer.text.strip() == client.did
    assert answer.headers["content-type"].startswith("text/plain")
    assert requests.get(address, headers={"Host": "nobody" + server.domain()}, timeout=10).status_code == 404
    document = requests.get(server.base + "/.well-known/did.json", timeout=10).json()
    described = server.anonymous().get("com.atproto.server.describeServer").ok()
    assert document["id"] == described["did"]
    services = {service["id"].split("#")[1]: service for service in document["service"]}
    assert services["atproto_pds"]["type"] == "AtprotoPersonalDataServer"


def test_resolution(server):
    client = server.account()
    document = server.anonymous().get("com.atproto.identity.resolveDid", did=client.did).ok()["didDoc"]
    assert document["id"] == client.did
    for identifier in (client.did, client.handle):
        identity = server.anonymous().get("com.atproto.identity.resolveIdentity", identifier=identifier).ok()
        assert (identity["did"], identity["handle"]) == (client.did, client.handle)
        assert identity["didDoc"]["id"] == client.did
    # What isn't known here is asked of the network, which a test machine may not have.
    unknown, answers = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", ("DidNotFound", "UpstreamFailure")
    assert server.anonymous().get("com.atproto.identity.resolveDid", did=unknown).error in answers
    assert server.anonymous().get("com.atproto.identity.resolveIdentity", identifier=unknown).error in answers


def test_plain_routes(server):
    assert server.anonymous().get("_health").ok()["version"]
    robots = server.anonymous().raw("GET", "/robots.txt")
    assert robots.status == 200 and b"Allow: /" in robots.content
    start = server.anonymous().raw("GET", "/")
    assert start.status == 200 and start.content
    described = server.anonymous().get("com.atproto.server.describeServer").ok()
    assert described["did"].startswith("did:web:localhost") and described["inviteCodeRequired"] is False
    for header in ("Access-Control-Allow-Origin",):
        answer = server.anonymous().get("com.atproto.server.describeServer", headers={"Origin": "https://app.example"})
        assert answer.headers[header] == "*"


def test_preflight(server):
    answer = server.anonymous().raw(
        "OPTIONS",
        "/xrpc/com.atproto.repo.createRecord",
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,atproto-proxy",
        },
    )
    assert answer.status in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert allowed == "*" or all(name in allowed for name in ("authorization", "content-type"))


# The directory


def test_directory(server):
    client = server.account()
    anonymous = server.anonymous()
    document = anonymous.raw("GET", f"/plc/{client.did}").ok()
    assert document["id"] == client.did
    assert document["service"][0]["serviceEndpoint"].startswith("http")
    log = anonymous.raw("GET", f"/plc/{client.did}/log").ok()
    audit = anonymous.raw("GET", f"/plc/{client.did}/log/audit").ok()
    last = anonymous.raw("GET", f"/plc/{client.did}/log/last").ok()
    data = anonymous.raw("GET", f"/plc/{client.did}/data").ok()
    assert log[-1] == last and [entry["operation"] for entry in audit] == log
    assert log[0]["prev"] is None and audit[0]["nullified"] is False
    assert audit[0]["cid"] == keys.operation_cid(log[0])
    assert data["did"] == client.did and data["alsoKnownAs"] == [f"at://{client.handle}"]
    export = anonymous.raw("GET", "/plc/export?count=1000")
    lines = [json.loads(line) for line in export.content.splitlines()]
    assert client.did in [line["did"] for line in lines]
    times = [line["createdAt"] for line in lines]
    assert times == sorted(times)
    assert anonymous.raw("GET", "/plc/did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").status == 404


def test_directory_takes_what_is_signed_and_nothing_else(server):
    newcomer = keys.Newcomer(server, "dir.example")
    anonymous = server.anonymous()
    path = f"/plc/{newcomer.did}"
    update = {
        **newcomer.operation,
        "alsoKnownAs": ["at://renamed.example"],
        "prev": keys.operation_cid(newcomer.operation),
    }
    for operation in (
        keys.sign_operation(update, keys.Key()),
        {**keys.sign_operation(update, newcomer.rotation), "alsoKnownAs": ["at://forged.example"]},
        keys.sign_operation({**update, "prev": None}, newcomer.rotation),
        keys.sign_operation({**update, "rotationKeys": []}, newcomer.rotation),
        keys.sign_operation({**update, "type": "odd"}, newcomer.rotation),
        {},
        {**update, "sig": "x" * 86},
    ):
        refused = anonymous.raw("POST", path, json=operation)
        assert 400 <= refused.status < 500, str(refused)
    assert anonymous.raw("POST", path, json=keys.sign_operation(update, newcomer.rotation)).status == 200
    assert anonymous.raw("GET", path).ok()["alsoKnownAs"] == ["at://renamed.example"]


# The whole life


def test_rate_limits(make_server):
    server = make_server(KITH_RATE_LIMITS="true")
    answers = [
        server.anonymous().post(
            "com.atproto.server.createSession", identifier="nobody.test", password="wrong-Password-1"
        )
        for _ in range(60)
    ]
    limited = [answer for answer in answers if answer.status == 429]
    assert limited and limited[0].error == "RateLimitExceeded"
    assert int(limited[0].headers["RateLimit-Remaining"]) == 0 and int(limited[0].headers["Retry-After"]) > 0


def test_rate_limits_of_exports_and_of_staff(make_server):
    server = make_server(KITH_RATE_LIMITS="true")
    admin, did = server.admin(), server.account().did
    before = int(server.anonymous().get("com.atproto.server.describeServer").headers["RateLimit-Remaining"])
    for method in ("getRepo", "getCheckout"):
        for _ in range(20):
            answer = server.anonymous().get(f"com.atproto.sync.{method}", did=did)
            assert answer.headers["RateLimit-Policy"] == "6000;w=300", str(answer.headers)
    after = int(server.anonymous().get("com.atproto.server.describeServer").headers["RateLimit-Remaining"])
    assert after >= before - 1, "exports were counted among all requests"
    listed = admin.get("net.openfederation.account.list")
    assert listed.ok() and listed.headers["RateLimit-Policy"] == "120;w=60", str(listed.headers)
    statuses = [admin.post("net.openfederation.invite.create", maxUses=1).status for _ in range(12)]
    assert statuses[:10] == [201] * 10 and statuses[11] == 429, statuses
    for _ in range(12):
        server.command("invite", "create", "--data", str(server.folder))


def test_deletion(server):
    client = server.account()
    client.create("app.bsky.feed.post", kith.post_record()).ok()
    server.operator().post("com.atproto.admin.deleteAccount", did=client.did).ok()
    assert server.anonymous().get("com.atproto.sync.getRepo", did=client.did).error == "RepoNotFound"
    assert server.anonymous().get("com.atproto.identity.resolveHandle", handle=client.handle).status == 400
    assert client.create("app.bsky.feed.post", kith.post_record()).status in (401, 403)
    signed_in = server.anonymous().post(
        "com.atproto.server.createSession", identifier=client.handle, password=kith.PASSWORD
    )
    assert signed_in.status == 401
    assert client.did not in [repo["did"] for repo in repositories(server)]
