"""OpenFederation's methods about people, by their documented examples and against faults known of others."""

import re
import time

import pytest

import kith

PARTNER_ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def gated(request):
    server = kith.Server(environment={"KITH_INVITE_REQUIRED": "true", "KITH_APPROVAL_REQUIRED": "true"}).start()
    yield server
    assert server.alive(), server.log_tail()
    server.remove()


def partner_key(server, **more):
    body = {"name": "web", "partnerName": "Example", "allowedOrigins": [PARTNER_ORIGIN], **more}
    made = server.operator().post("net.openfederation.partner.createKey", body)
    assert made.status == 201, str(made)
    return made.json


def by_partner(server, key, name=None, origin=PARTNER_ORIGIN):
    name = name or kith.unique("pat")
    body = {"handle": name, "email": f"{name}@mail.test", "password": kith.PASSWORD}
    headers = {"X-Partner-Key": key, **({"Origin": origin} if origin else {})}
    return server.anonymous().post("net.openfederation.partner.register", body, headers=headers)


# The documented examples


def test_the_typical_flow(gated):
    admin = gated.admin()
    code = admin.post("net.openfederation.invite.create", {"maxUses": 1}).json["code"]
    name = kith.unique("flow")
    registration = {"handle": name, "email": f"{name}@mail.test", "password": kith.PASSWORD, "inviteCode": code}
    made = gated.anonymous().post("net.openfederation.account.register", registration)
    assert made.status == 201 and made.json["status"] == "pending", str(made)
    listed = admin.get("net.openfederation.account.listPending").ok()["users"]
    assert [user["createdAt"] for user in listed if user["handle"].startswith(name + ".")]
    assert admin.post("net.openfederation.account.approve", {"handle": name}).ok()["status"] == "approved"
    session = (
        gated.anonymous().post("com.atproto.server.createSession", {"identifier": name, "password": kith.PASSWORD}).ok()
    )
    assert session["did"] == made.json["did"]
    invites = admin.get("net.openfederation.invite.list").ok()["invites"]
    assert [invite["usesCount"] for invite in invites if invite["code"] == code] == [1]


def test_states_by_the_documented_bodies(server):
    owner, admin = server.account(), server.admin()
    subject = {"did": owner.did}
    change = {"subject": subject, "deactivated": {"applied": True, "ref": "spam"}}
    assert admin.post("com.atproto.admin.updateSubjectStatus", change).ok()["subject"]["did"] == owner.did
    status = admin.get("com.atproto.admin.getSubjectStatus", did=owner.did).ok()
    assert status["deactivated"] == {"applied": True, "ref": "spam"} and status["takedown"]["applied"] is False
    change["deactivated"] = {"applied": False}
    admin.post("com.atproto.admin.updateSubjectStatus", change).ok()
    owner = server.sign_in(owner.handle)
    owner.post("com.atproto.server.deactivateAccount").ok()
    owner.post("com.atproto.server.activateAccount").ok()
    export = owner.get("net.openfederation.account.export", did=owner.did).ok()
    assert export["account"]["handle"] == owner.handle
    gone = owner.post("com.atproto.server.deleteSession", {"refreshJwt": owner.refresh_token})
    assert gone.status == 200, str(gone)
    assert owner.get("com.atproto.server.getSession").error == "ExpiredToken"
    admin.post("com.atproto.admin.deleteAccount", {"did": owner.did}).ok()


def test_partner_keys(gated):
    made = partner_key(gated)
    key = made["key"]
    assert re.fullmatch(r"ofp_[A-Za-z0-9_-]{64}", key) and made["keyPrefix"] == key[:12]
    account = by_partner(gated, key)
    assert account.status == 201 and account.json["status"] == "approved", str(account)
    client = gated.anonymous()
    client.token = account.json["accessJwt"]
    assert client.get("com.atproto.server.getSession").ok()["did"] == account.json["did"]
    assert by_partner(gated, key, origin=None).error == "Forbidden"
    assert by_partner(gated, key, origin="https://evil.example").error == "Forbidden"
    assert by_partner(gated, key[:-1] + ("A" if key[-1] != "A" else "B")).status == 401
    listed = gated.operator().get("net.openfederation.partner.listKeys").ok()["keys"]
    row = next(one for one in listed if one["id"] == made["id"])
    assert row["totalRegistrations"] == 1 and row["status"] == "active" and "key" not in row
    gated.operator().post("net.openfederation.partner.revokeKey", id=made["id"]).ok()
    assert by_partner(gated, key).status == 401


def test_a_browser_may_send_the_key(gated):
    answer = gated.anonymous().raw(
        "OPTIONS",
        "/xrpc/net.openfederation.partner.register",
        headers={
            "Origin": PARTNER_ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-partner-key",
        },
    )
    allowed = answer.headers["Access-Control-Allow-Headers"].lower()
    assert allowed == "*" or "x-partner-key" in allowed


def test_proofs_are_fetched_by_the_guarded_client(make_server):
    """An origin on this machine's own network proves nothing, and nobody is sent there."""
    server = make_server(KITH_OUTBOUND_GUARD="true")
    for origin in ("http://127.0.0.1:1", "https://127.0.0.1:1", "https://[::1]", "https://localhost:1"):
        key = partner_key(server, allowedOrigins=[origin])
        answer = server.operator().post("net.openfederation.partner.verifyKey", id=key["id"])
        assert answer.status == 400 and answer.error == "VerificationFailed", str(answer)


def test_the_hourly_limit_is_exact(server):
    key = partner_key(server, rateLimitPerHour=3)["key"]
    answers = kith.in_threads(8, range(12), lambda _: by_partner(server, key))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [201] * 3 + [429] * 9, str([str(answer) for answer in answers])
    limited = next(answer for answer in answers if answer.status == 429)
    assert limited.error == "RateLimitExceeded" and int(limited.headers["Retry-After"]) > 0


def test_a_partner_has_a_limit_of_its_own(make_server):
    """Not that of registrations from one address: a partner's people all come from its own server."""
    server = make_server(KITH_RATE_LIMITS="true")
    key = partner_key(server)["key"]
    assert [by_partner(server, key).status for _ in range(8)] == [201] * 8
    name = kith.unique("reg")
    own = {"handle": name, "email": f"{name}@mail.test", "password": kith.PASSWORD}
    assert server.anonymous().post("net.openfederation.account.register", own).status == 201


# Passwords


def link(server, handle, count):
    """The token of the `count`th letter to `handle`, from the log of a server in development."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = re.findall(r"reset-password\?token=([A-Za-z0-9_-]{64})", letters_to(server, handle))
        if len(found) >= count:
            return found[count - 1]
        time.sleep(0.05)
    raise AssertionError(server.log_tail())


def letters_to(server, handle):
    return "\n".join(part for part in server.log_tail(200_000).split("a letter, printed") if handle in part)


def test_a_forgotten_password(own_server):
    server = own_server
    owner = server.account()
    request, confirm = (
        f"net.openfederation.account.{name}" for name in ("requestPasswordReset", "confirmPasswordReset")
    )
    known = server.anonymous().post(request, identifier=owner.handle)
    unknown = server.anonymous().post(request, identifier="nobody.test")
    assert (known.status, known.content) == (unknown.status, unknown.content)
    token = link(server, owner.handle, 1)
    page = server.anonymous().raw("GET", f"/reset-password?token={token}")
    assert page.status == 200 and "no-referrer" in page.headers["Referrer-Policy"]
    form = {"token": token, "password": "Eight-Loud-Oceans-8"}
    assert server.anonymous().raw("POST", "/reset-password", data=form).status == 200
    assert server.anonymous().raw("GET", f"/reset-password?token={token}").status == 404
    again = server.anonymous().post(confirm, token=token, newPassword="Nine-Green-Meadows-9")
    assert again.error == "InvalidToken"
    assert owner.get("com.atproto.server.getSession").error == "ExpiredToken"
    server.sign_in(owner.handle, "Eight-Loud-Oceans-8")


def test_a_new_password_ends_every_session(server):
    owner = server.account()
    other = server.sign_in(owner.handle)
    change = "net.openfederation.account.changePassword"
    wrong = owner.post(change, currentPassword="wrong", newPassword="Eight-Loud-Oceans-8")
    assert wrong.status == 400 and wrong.error == "InvalidPassword"
    assert owner.post(change, currentPassword=kith.PASSWORD, newPassword="short").error == "WeakPassword"
    owner.post(change, currentPassword=kith.PASSWORD, newPassword="Eight-Loud-Oceans-8").ok()
    for client in (owner, other):
        assert client.get("com.atproto.server.getSession").error == "ExpiredToken"
    server.sign_in(owner.handle, "Eight-Loud-Oceans-8")


def test_sessions_say_from_where(server):
    owner = server.account()
    sessions = owner.get("net.openfederation.account.listSessions").ok()["sessions"]
    assert len(sessions) == 1 and sessions[0]["isCurrent"] and "requests" in sessions[0]["client"]
    assert sessions[0]["address"] in ("127.0.0.1", "::1") and len(sessions[0]["id"]) == 8
    other = server.sign_in(owner.handle)
    listed = owner.get("net.openfederation.account.listSessions").ok()["sessions"]
    theirs = [session["id"] for session in listed if not session["isCurrent"]]
    assert owner.post("net.openfederation.account.revokeSession", sessionId=theirs[0]).ok() == {"revokedCount": 1}
    assert other.get("com.atproto.server.getSession").error == "ExpiredToken"


# Status and roles are judged at the door


def test_powers_end_with_the_role(server):
    operator, person = server.operator(), server.account()
    roles = "net.openfederation.account.updateRoles"
    assert person.get("net.openfederation.account.list").status == 403
    operator.post(roles, {"did": person.did, "addRoles": ["auditor"]}).ok()
    # The same token, which was made before: what it may do is not written in it.
    assert person.get("net.openfederation.audit.list", limit=1).status == 200
    assert person.get("net.openfederation.server.getConfig").status == 200
    operator.post(roles, {"did": person.did, "removeRoles": ["auditor"]}).ok()
    assert person.get("net.openfederation.audit.list", limit=1).status == 403


def test_a_suspended_person_writes_nothing(server):
    person, operator = server.account(), server.operator()
    operator.post("com.atproto.admin.updateSubjectStatus", subject={"did": person.did}, deactivated={"applied": True})
    for nsid, body in (
        ("net.openfederation.account.updateProfile", {"displayName": "Somebody"}),
        ("com.atproto.server.activateAccount", None),
        ("com.atproto.server.createAppPassword", {"name": "x"}),
    ):
        answer = person.post(nsid, body)
        assert answer.status in (400, 401, 403), f"{nsid}: {answer}"
    hidden = server.anonymous().get("net.openfederation.account.getProfile", did=person.did)
    assert hidden.status == 404 and hidden.error == "ProfileNotFound"
    leaving = server.sign_in(person.handle, allowTakendown=True)
    assert leaving.get("net.openfederation.account.export", did=person.did).status == 200
    assert leaving.post("net.openfederation.account.updateProfile", {"displayName": "x"}).status in (400, 401, 403)


# Profiles and export


def test_profiles(server):
    person = server.account()
    update, get = (f"net.openfederation.account.{name}Profile" for name in ("update", "get"))
    written = person.post(update, displayName="Ada", description="Counts").ok()
    assert written["uri"] == f"at://{person.did}/app.bsky.actor.profile/self"
    person.post(update, displayName="Ada L.").ok()
    custom = {"collection": "app.grvty.actor.profile", "record": {"mood": "fine"}}
    person.post(update, custom).ok()
    shown = server.anonymous().get(get, did=person.did).ok()
    assert shown["profile"]["displayName"] == "Ada L." and shown["profile"]["description"] == "Counts"
    assert shown["customProfiles"]["app.grvty.actor.profile"]["mood"] == "fine"
    record = (
        server.anonymous()
        .get("com.atproto.repo.getRecord", repo=person.did, collection="app.bsky.actor.profile", rkey="self")
        .ok()
    )
    assert record["cid"] and record["value"]["$type"] == "app.bsky.actor.profile"


def test_profiles_lose_nothing_under_races(server):
    person = server.account()
    fields = ["displayName", "description"] * 6
    answers = kith.in_threads(
        6,
        range(len(fields)),
        lambda number: person.again().post(
            "net.openfederation.account.updateProfile", {fields[number]: f"value {number}"}
        ),
    )
    assert all(answer.status in (200, 503) for answer in answers), str([str(answer) for answer in answers])
    profile = server.anonymous().get("net.openfederation.account.getProfile", did=person.did).ok()["profile"]
    assert profile["displayName"].startswith("value") and profile["description"].startswith("value")


def test_export_holds_every_record(server):
    person = server.account()
    written = {}
    for number in range(30):
        collection = f"com.example.kind{number % 3}"
        made = person.create(collection, {"$type": collection, "number": number}).ok()
        written[made["uri"]] = made["cid"]
    export = person.get("net.openfederation.account.export", did=person.did).ok()
    found = {
        f"at://{person.did}/{collection}/{row['rkey']}": row["cid"]
        for collection, rows in export["collections"].items()
        for row in rows
    }
    assert found == written
    assert export["stats"]["totalRecords"] == 30 and export["stats"]["collections"] == 3
    assert export["account"]["email"] == person.email
    assert "email" not in server.operator().get("net.openfederation.account.export", did=person.did).ok()["account"]


# Keys from other networks


def test_keys_are_found_by_anybody(server):
    person = server.account()
    key = "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
    body = {"rkey": "radio-1", "type": "ed25519", "purpose": "meshtastic", "publicKey": key}
    made = person.post("net.openfederation.identity.setExternalKey", body).ok()
    assert made["uri"] == f"at://{person.did}/net.openfederation.identity.externalKey/radio-1"
    get, find = (f"net.openfederation.identity.{name}" for name in ("getExternalKey", "resolveByKey"))
    shown = server.anonymous().get(get, did=person.did, rkey="radio-1").ok()
    assert shown["publicKey"] == key and "label" not in shown
    assert server.anonymous().get(find, publicKey=key).ok()["did"] == person.did
    listed = server.anonymous().get("net.openfederation.identity.listExternalKeys", did=person.did).ok()
    assert [row["rkey"] for row in listed["keys"]] == ["radio-1"]
    # What is written or deleted through the protocol's own methods counts just as much.
    person.delete("net.openfederation.identity.externalKey", "radio-1").ok()
    assert server.anonymous().get(find, publicKey=key).error == "KeyNotFound"
    record = {
        "$type": "net.openfederation.identity.externalKey",
        **{name: body[name] for name in ("type", "purpose", "publicKey")},
        "createdAt": kith.now(),
    }
    person.create("net.openfederation.identity.externalKey", record, rkey="other").ok()
    assert server.anonymous().get(find, publicKey=key).ok()["rkey"] == "other"
    person.create("net.openfederation.identity.externalKey", {**record, "publicKey": "zNonsense"}, rkey="odd").ok()
    assert server.anonymous().get(get, did=person.did, rkey="odd").error == "KeyNotFound"
    server.operator().post("com.atproto.admin.deleteAccount", did=person.did).ok()
    assert server.anonymous().get(find, publicKey=key).error == "KeyNotFound"


# Lists with something in them


def test_the_audit_can_be_read(server):
    admin, person = server.admin(), server.account()
    admin.post("com.atproto.admin.updateSubjectStatus", subject={"did": person.did}, deactivated={"applied": True}).ok()
    page = admin.get("net.openfederation.audit.list", targetId=person.did, action="account.suspend").ok()
    assert page["total"] == 1 and page["entries"][0]["actorHandle"].startswith(kith.ADMIN_HANDLE)
    assert isinstance(page["entries"][0]["id"], str) and page["entries"][0]["createdAt"].endswith("Z")


def test_invites_with_all_fields(server):
    admin = server.admin()
    body = {"maxUses": 2, "expiresAt": "2099-01-01T00:00:00Z", "boundTo": "ada@mail.test", "note": "spring fair"}
    code = admin.post("net.openfederation.invite.create", body).json["code"]
    row = next(one for one in admin.get("net.openfederation.invite.list").ok()["invites"] if one["code"] == code)
    assert row["boundTo"] == "ada@mail.test" and row["note"] == "spring fair" and row["status"] == "active"
    assert row["createdByHandle"].startswith(kith.ADMIN_HANDLE)


def test_the_server_tells_what_it_is(server):
    public = server.anonymous().get("net.openfederation.server.getPublicConfig").ok()
    full = server.operator().get("net.openfederation.server.getConfig").ok()
    assert public["serviceUrl"] == server.base and public["hostname"] == full["hostname"]
    assert full["stats"]["approvedUsers"] >= public["stats"]["totalUsers"] > 0
    server.account()
    after = server.anonymous().get("net.openfederation.server.getPublicConfig").ok()["stats"]["totalUsers"]
    assert after > public["stats"]["totalUsers"]


def test_every_status_can_be_listed(server):
    for status in ("pending", "approved", "rejected", "disabled", "suspended", "takendown", "deactivated"):
        answer = server.operator().get("net.openfederation.account.list", status=status)
        assert answer.status == 200 and all(user["status"] == status for user in answer.json["users"]), str(answer)
