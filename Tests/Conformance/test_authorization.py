"""Who may call what: every route as anybody, as a stranger, as the owner, as a moderator, as an administrator.

The table is authorization.json. A row says how to call the route (`call`: parameters or body, `bytes`: a raw body,
`form`: the fields of a form, none: no body) and what each caller gets: a status, perhaps with an error name. `anyone`
stands for all callers, `others` for all that the row doesn't name. `fresh` gives each caller an account of its own to
act on, for calls that change one.
"""

import json
import pathlib
import urllib.parse

import pytest

import kith

TABLE = json.loads((pathlib.Path(__file__).parent / "authorization.json").read_text())
CALLERS = ["anonymous", "stranger", "owner", "moderator", "admin", "operator"]


class Cast:
    """The accounts that the table speaks of."""

    def __init__(self, server):
        self.server = server
        self.domain = server.domain()
        self.admin, self.moderator = server.admin(), moderator(server)
        self.stranger, self.owner = server.account(), None
        self.renew_owner()

    def renew_owner(self):
        self.owner_is_used = False
        self.owner = self.server.account()
        self.owner.create("com.example.note", {"$type": "com.example.note"}, rkey="first").ok()
        blob = self.owner.post(
            "com.atproto.repo.uploadBlob", data=b"hello", headers={"Content-Type": "text/plain"}
        ).ok()["blob"]
        self.owner.create("com.example.note", {"$type": "com.example.note", "file": blob}).ok()
        self.blob = blob["ref"]["$link"]

    def caller(self, name):
        if name == "anonymous":
            return self.server.anonymous()
        if name == "operator":
            return self.server.operator()
        return getattr(self, name)

    def fill(self, value):
        """The value with the words of the table replaced."""
        if isinstance(value, dict):
            return {key: self.fill(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.fill(one) for one in value]
        if not isinstance(value, str):
            return value
        words = {
            "$owner": self.owner.did,
            "$handle": self.owner.handle,
            "$domain": self.domain,
            "$blob": self.blob,
            "$cid": self.owner.head()["cid"] if "$cid" in value else "",
            "$name": kith.unique("auth") if "$name" in value else "",
        }
        for word, meaning in words.items():
            value = value.replace(word, meaning)
        return value


def moderator(server):
    """An account with the moderator's role and no other."""
    name = kith.unique("mod")
    server.command(
        *("account", "create", "--data", str(server.folder), "--handle", name, "--email", f"{name}@mail.test"),
        *("--password", kith.PASSWORD, "--role", "moderator", "--json"),
    )
    return server.sign_in(name)


@pytest.fixture(scope="module")
def cast(server):
    return Cast(server)


def routes(server):
    return json.loads(server.command("routes", "--json").stdout)


def test_every_route_is_in_the_table(server):
    served = {name_of(route) for route in routes(server)}
    assert served - set(TABLE) == set(), "routes without a row"
    assert set(TABLE) - served == set(), "rows without a route"


def name_of(route):
    """An NSID, or a verb and a path."""
    return route.get("nsid") or f"{route['verb']} {route['path']}"


def expectation(row, caller):
    for key in (caller, "others", "anyone"):
        if key in row:
            return row[key]
    return None


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("nsid", sorted(TABLE))
def test_authorization(cast, nsid, caller):
    row = TABLE[nsid]
    expected = expectation(row, caller)
    if expected is None:
        assert row.get("fresh"), f"{nsid}: the row says nothing of {caller}"
        return
    if row.get("fresh") or cast.owner_is_used:
        cast.renew_owner()
    cast.owner_is_used = bool(row.get("fresh"))
    client, kind = cast.caller(caller), kinds(cast.server).get(nsid)
    call = cast.fill(row.get("call"))
    if " " in nsid:
        verb, path = nsid.split(" ")
        answer = client.raw(verb, path.replace(":did", cast.owner.did), json=call, data=row.get("form"))
    elif kind == "procedure" and "bytes" in row:
        headers = {"Content-Type": "application/vnd.ipld.car" if "import" in nsid else "application/octet-stream"}
        query = "?" + urllib.parse.urlencode(cast.fill(row["query"])) if "query" in row else ""
        answer = client.post(nsid + query, data=row["bytes"].encode(), headers=headers)
    elif kind == "procedure":
        answer = client.post(nsid, call)
    else:
        answer = client.get(nsid, **(call or {}))
    status, _, error = expected.partition(" ")
    assert answer.status == int(status), f"{caller}: {answer}"
    if answer.status >= 400:
        assert not error or answer.error == error, f"{caller}: {answer}"


_kinds = {}


def kinds(server):
    """Query, procedure or subscription, by NSID; None for the routes that have none."""
    if not _kinds:
        _kinds.update({name_of(route): route.get("kind") for route in routes(server)})
    return _kinds


# Accounts that are not active


SYNC = {
    "com.atproto.sync.getRepo": {},
    "com.atproto.sync.getCheckout": {},
    "com.atproto.sync.getLatestCommit": {},
    "com.atproto.sync.getHead": {},
    "com.atproto.sync.listBlobs": {},
    "com.atproto.sync.getBlob": {"cid": "$blob"},
    "com.atproto.sync.getBlocks": {"cids": "$cid"},
    "com.atproto.sync.getRecord": {"collection": "com.example.note", "rkey": "first"},
}


def set_status(server, did, **change):
    server.operator().post(
        "com.atproto.admin.updateSubjectStatus",
        {"subject": {"$type": "com.atproto.admin.defs#repoRef", "did": did}, **change},
    ).ok()


def deactivate(server, owner):
    owner.post("com.atproto.server.deactivateAccount", {}).ok()


def suspend(server, owner):
    set_status(server, owner.did, deactivated={"applied": True})


def take_down(server, owner):
    set_status(server, owner.did, takedown={"applied": True})


STATES = {
    "deactivated": (deactivate, "RepoDeactivated", "AccountDeactivated"),
    "suspended": (suspend, "RepoSuspended", "AccountSuspended"),
    "takendown": (take_down, "RepoTakendown", "AccountTakedown"),
}


@pytest.fixture(scope="module", params=sorted(STATES))
def inactive(request, server):
    """(state, cast) with the owner in that state."""
    cast = Cast(server)
    cast.head = cast.owner.head()["cid"]
    STATES[request.param][0](server, cast.owner)
    return request.param, cast


@pytest.mark.parametrize("nsid", sorted(SYNC))
def test_sync_of_inactive_accounts(inactive, nsid):
    state, cast = inactive
    parameters = {
        key: value.replace("$blob", cast.blob).replace("$cid", cast.head) for key, value in SYNC[nsid].items()
    }
    for name in ("anonymous", "stranger"):
        answer = cast.caller(name).get(nsid, did=cast.owner.did, **parameters)
        assert answer.status == 400 and answer.error == STATES[state][1], f"{name}: {answer}"
    assert cast.caller("operator").get(nsid, did=cast.owner.did, **parameters).status == 200
    if state == "deactivated":
        owner = cast.server.sign_in(cast.owner.handle)
        assert owner.get(nsid, did=owner.did, **parameters).status == 200


def test_status_of_inactive_accounts(inactive):
    state, cast = inactive
    status = cast.server.anonymous().get("com.atproto.sync.getRepoStatus", did=cast.owner.did).ok()
    assert status["active"] is False and status["status"] == state and "rev" not in status
    repos, cursor = {}, None
    while True:
        page = cast.server.anonymous().get(
            "com.atproto.sync.listRepos", limit=1000, **({"cursor": cursor} if cursor else {})
        )
        repos |= {repo["did"]: repo for repo in page.ok()["repos"]}
        cursor = page.json.get("cursor")
        if not cursor:
            break
    assert repos[cast.owner.did]["active"] is False and repos[cast.owner.did]["status"] == state


def test_reads_of_inactive_accounts(inactive):
    state, cast = inactive
    anonymous, owner = cast.server.anonymous(), cast.owner
    record = anonymous.get("com.atproto.repo.getRecord", repo=owner.did, collection="com.example.note", rkey="first")
    assert record.status == 400, str(record)
    records = anonymous.get("com.atproto.repo.listRecords", repo=owner.did, collection="com.example.note")
    assert records.status == 400 and records.error == "InvalidRequest", str(records)
    described = anonymous.get("com.atproto.repo.describeRepo", repo=owner.did)
    assert described.status == 400 and described.error == STATES[state][1], str(described)
    resolved = anonymous.get("com.atproto.identity.resolveHandle", handle=owner.handle)
    assert resolved.status == 400, str(resolved)
    known = anonymous.raw("GET", "/.well-known/atproto-did", headers={"Host": owner.handle})
    assert known.status == 404, str(known)


def test_writes_of_inactive_accounts(inactive):
    """With a token from before, which has not expired yet."""
    state, cast = inactive
    owner, head = cast.owner, cast.head
    for answer in (
        owner.create("com.example.note", {"$type": "com.example.note"}),
        owner.put("com.example.note", "first", {"$type": "com.example.note", "x": 1}),
        owner.delete("com.example.note", "first"),
    ):
        assert answer.status in (401, 403) and answer.error == STATES[state][2], str(answer)
    assert cast.server.operator().get("com.atproto.sync.getLatestCommit", did=owner.did).ok()["cid"] == head


def test_sign_in_of_inactive_accounts(inactive):
    state, cast = inactive
    answer = cast.server.anonymous().post(
        "com.atproto.server.createSession", identifier=cast.owner.handle, password=kith.PASSWORD
    )
    if state == "deactivated":
        session = answer.ok()
        assert session["active"] is False and session["status"] == "deactivated"
    else:
        assert answer.status in (401, 403, 410) and answer.error == STATES[state][2], str(answer)


def test_refresh_of_inactive_accounts(inactive):
    state, cast = inactive
    if state == "deactivated":
        return
    answer = cast.owner.post(
        "com.atproto.server.refreshSession", headers={"Authorization": f"Bearer {cast.owner.refresh_token}"}
    )
    assert answer.status in (400, 401, 403, 410), str(answer)


def test_taken_down_account_may_leave_with_its_data(server):
    cast = Cast(server)
    head = cast.owner.head()["cid"]
    take_down(server, cast.owner)
    session = server.sign_in(cast.owner.handle, allowTakendown=True)
    assert session.get("com.atproto.sync.getRepo", did=session.did).status == 200
    assert session.get("com.atproto.sync.listBlobs", did=session.did).status == 200
    assert session.get("com.atproto.sync.getBlob", did=session.did, cid=cast.blob).status == 200
    for nsid in ("getRecord", "getBlocks", "getLatestCommit", "getHead"):
        answer = session.get(
            f"com.atproto.sync.{nsid}", did=session.did, collection="com.example.note", rkey="first", cids=head
        )
        assert answer.status == 400 and answer.error == "InvalidToken", f"{nsid}: {answer}"
    assert session.create("com.example.note", {"$type": "com.example.note"}).status in (400, 401, 403)
    assert session.post("com.atproto.server.activateAccount").status in (400, 401, 403)


def test_every_way_back(server):
    for state, undo in (
        ("deactivated", lambda owner: server.sign_in(owner.handle).post("com.atproto.server.activateAccount").ok()),
        ("suspended", lambda owner: set_status(server, owner.did, deactivated={"applied": False})),
        ("takendown", lambda owner: set_status(server, owner.did, takedown={"applied": False})),
    ):
        owner = server.account()
        owner.create("com.example.note", {"$type": "com.example.note"}, rkey="first").ok()
        before = owner.head()
        STATES[state][0](server, owner)
        undo(owner)
        assert server.anonymous().get("com.atproto.sync.getLatestCommit", did=owner.did).ok()["rev"] >= before["rev"]
        again = server.sign_in(owner.handle)
        again.create("com.example.note", {"$type": "com.example.note"}).ok()
        assert again.get("com.atproto.server.getSession").ok()["active"] is True


def test_what_staff_lift_leads_back(server):
    """The owner's own deactivation outlives what staff did meanwhile, and staff do not lift it."""
    owner = server.account()
    deactivate(server, owner)
    for change in (
        {"deactivated": {"applied": True}},
        {"takedown": {"applied": True}},
        {"takedown": {"applied": False}},
    ):
        set_status(server, owner.did, **change)
        answer = owner.post("com.atproto.server.activateAccount")
        assert answer.status in (400, 401, 403), str(answer)
    for _ in range(2):
        set_status(server, owner.did, deactivated={"applied": False})
        status = server.anonymous().get("com.atproto.sync.getRepoStatus", did=owner.did).ok()
        assert status["active"] is False and status["status"] == "deactivated"
    server.sign_in(owner.handle).post("com.atproto.server.activateAccount").ok()
    assert server.anonymous().get("com.atproto.sync.getRepoStatus", did=owner.did).ok()["active"] is True


def test_unknown_accounts(server):
    did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    for nsid, parameters in SYNC.items():
        known = {"cid": "bafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq"} if "cid" in parameters else {}
        if "cids" in parameters:
            known = {"cids": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"}
        answer = server.anonymous().get(nsid, did=did, **{**parameters, **known})
        assert answer.status in (400, 404) and answer.error == "RepoNotFound", str(answer)
    assert server.anonymous().get("com.atproto.sync.getRepoStatus", did=did).error == "RepoNotFound"
    assert server.anonymous().get("com.atproto.repo.describeRepo", repo=did).error == "RepoNotFound"


def test_administrators_cannot_be_put_away(server):
    admin = server.admin()
    for change in ({"takedown": {"applied": True}}, {"deactivated": {"applied": True}}):
        answer = server.operator().post(
            "com.atproto.admin.updateSubjectStatus",
            {"subject": {"$type": "com.atproto.admin.defs#repoRef", "did": admin.did}, **change},
        )
        assert answer.status == 403, str(answer)
    assert server.operator().post("com.atproto.admin.deleteAccount", did=admin.did).status == 403
