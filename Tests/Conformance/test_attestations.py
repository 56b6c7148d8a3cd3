"""Attestations between two servers: issued on one, verified on the other by its proof, in a file offline, and no longer
once they are taken back."""

import contextlib
import http.server
import json
import threading
import urllib.error
import urllib.request

import pytest

import kith

COMMUNITY = "net.openfederation.community."


class Directory:
    """The did:plc directory of one server, at an address of its own for the other."""

    def __init__(self, server):
        target = server.base + "/plc"

        class Handler(http.server.BaseHTTPRequestHandler):
            def _forward(self, body=None):
                request = urllib.request.Request(target + self.path, data=body, method=self.command)
                request.add_header("Content-Type", "application/json")
                try:
                    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as reply:
                        status, content = reply.status, reply.read()
                except urllib.error.HTTPError as error:
                    status, content = error.code, error.read()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self):
                self._forward()

            def do_POST(self):
                self._forward(self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def two(make_server):
    """A server with communities, and another that can look their identities up."""
    home = make_server()
    directory = Directory(home)
    with contextlib.closing(directory):
        yield home, make_server(KITH_PLC_URL=directory.address)


def garden(home):
    """A community with an owner and a member."""
    owner, member = home.account(), home.account()
    name = kith.unique("garden")
    made = owner.post(COMMUNITY + "create", handle=name, displayName="Garden", didMethod="plc")
    assert made.status in (200, 201), made
    did = made.json["did"]
    joined = member.post(COMMUNITY + "join", did=did)
    if joined.json.get("status") == "pending":
        waiting = owner.get(COMMUNITY + "listJoinRequests", did=did).ok()["requests"]
        owner.post(COMMUNITY + "resolveJoinRequest", requestId=waiting[0]["id"], action="approve").ok()
    return owner, member, did


def issue(owner, did, member, claim, **more):
    return owner.post(
        COMMUNITY + "issueAttestation",
        communityDid=did,
        subjectDid=member.did,
        subjectHandle=member.handle,
        type="role",
        claim=claim,
        **more,
    ).ok()["rkey"]


def run(server, path, *arguments):
    """`kith attestation verify`: the exit code, and what it says as JSON."""
    done = server.command(
        "attestation", "verify", str(path), "--json", "--data", str(server.folder), *arguments, check=False
    )
    return done.returncode, json.loads(done.stdout or done.stderr)


def test_another_server_verifies_by_proof_until_it_is_taken_back(two):
    home, away = two
    owner, member, did = garden(home)
    rkey = issue(owner, did, member, {"role": "Keeper of seeds"})
    where = {"communityDid": did, "rkey": rkey}

    here = home.anonymous().get(COMMUNITY + "verifyAttestation", **where).ok()
    assert here["valid"] and "remote" not in here and here["proof"]["present"]
    there = away.anonymous().get(COMMUNITY + "verifyAttestation", **where).ok()
    assert there["valid"] and there["remote"] and there["pdsUrl"] == home.base
    assert there["attestation"] == here["attestation"]
    assert there["proof"]["car"] == here["proof"]["car"]

    # What was never there is shown to be absent, not only said to be.
    nothing = away.anonymous().get(COMMUNITY + "verifyAttestation", communityDid=did, rkey="3lf4c2ab5dk2f").ok()
    assert not nothing["valid"] and nothing["reason"] == "absent" and not nothing["proof"]["present"]

    owner.post(COMMUNITY + "deleteAttestation", communityDid=did, rkey=rkey).ok()
    gone = away.anonymous().get(COMMUNITY + "verifyAttestation", **where).ok()
    assert not gone["valid"] and gone["reason"] == "absent" and "attestation" not in gone


def test_a_file_verifies_offline_and_online_until_it_is_taken_back(two, tmp_path):
    home, away = two
    owner, member, did = garden(home)
    claim = {"role": "Keeper of seeds", "since": 2024, "born": "1990-01-31"}
    rkey = issue(owner, did, member, claim, visibility="private")
    listed = home.anonymous().get(COMMUNITY + "listAttestations", communityDid=did).ok()["attestations"]
    assert [one["claim"] for one in listed] == [None] and len(listed[0]["commitment"]) == 64

    shown = member.get(COMMUNITY + "presentAttestation", communityDid=did, rkey=rkey, fields=["role"])
    assert shown.status == 200 and b"1990" not in shown.content
    path = tmp_path / "seeds.json"
    path.write_bytes(shown.content)
    refused = owner.get(COMMUNITY + "presentAttestation", communityDid=did, rkey=rkey)
    assert refused.status == 403, refused

    code, told = run(away, path, "--offline")
    assert (code, told["valid"], told["key"]) == (0, True, "identity-log"), told
    assert told["claim"] == {"role": "Keeper of seeds"}
    code, told = run(away, path, "--offline", "--key", shown.json["proof"]["signingKey"])
    assert (code, told["key"]) == (0, "known"), told
    code, told = run(away, path)
    assert (code, told["valid"], told["key"]) == (0, True, "known"), told

    forged = tmp_path / "forged.json"
    forged.write_bytes(shown.content.replace(b"Keeper of seeds", b"Keeper of deeds"))
    code, told = run(away, forged, "--offline")
    assert (code, told["error"]) == (65, "Unsound"), told

    owner.post(COMMUNITY + "deleteAttestation", communityDid=did, rkey=rkey).ok()
    code, told = run(home, path)
    assert (code, told["error"]) == (65, "Revoked"), told
    code, told = run(away, path, "--offline")
    assert (code, told["valid"]) == (0, True), told
    home.stop()
    code, told = run(home, path, "--offline")
    assert code == 0, told


def test_what_a_private_community_states_is_not_there_for_others(two, tmp_path):
    home, away = two
    owner, member, did = garden(home)
    owner.post(COMMUNITY + "update", did=did, visibility="private").ok()
    rkey = issue(owner, did, member, {"role": "Keeper of seeds"})
    where = {"communityDid": did, "rkey": rkey}
    stranger = home.account()
    for caller in (home.anonymous(), stranger):
        for method, more in (("verifyAttestation", where), ("listAttestations", {"communityDid": did})):
            answer = caller.get(COMMUNITY + method, **more)
            assert (answer.status, answer.error) == (404, "NotFound"), answer
    answer = away.anonymous().get(COMMUNITY + "verifyAttestation", **where)
    assert answer.status == 404 or (not answer.json["valid"] and "attestation" not in answer.json), answer
    answer = stranger.get(COMMUNITY + "presentAttestation", **where)
    assert (answer.status, answer.error) == (404, "NotFound"), answer
    assert member.get(COMMUNITY + "verifyAttestation", **where).ok()["valid"]

    path = tmp_path / "seeds.json"
    path.write_bytes(json.dumps(member.get(COMMUNITY + "presentAttestation", **where).ok()).encode())
    code, told = run(away, path, "--offline")
    assert (code, told["claim"]) == (0, {"role": "Keeper of seeds"}), told
    code, told = run(away, path)
    assert (code, told["error"]) == (69, "Unconfirmed"), told


def test_an_attestation_ends(own_server):
    owner, member, did = garden(own_server)
    past = owner.post(
        COMMUNITY + "issueAttestation",
        communityDid=did,
        subjectDid=member.did,
        subjectHandle=member.handle,
        type="credential",
        claim={},
        expiresAt="2020-01-01T00:00:00Z",
    )
    assert (past.status, past.error) == (400, "InvalidRequest"), past
    big = owner.post(
        COMMUNITY + "issueAttestation",
        communityDid=did,
        subjectDid=member.did,
        subjectHandle=member.handle,
        type="credential",
        claim={"text": "x" * 4096},
    )
    assert (big.status, big.error) == (413, "PayloadTooLarge"), big
    outsider = own_server.account()
    refused = owner.post(
        COMMUNITY + "issueAttestation",
        communityDid=did,
        subjectDid=outsider.did,
        subjectHandle=outsider.handle,
        type="credential",
        claim={},
    )
    assert (refused.status, refused.error) == (404, "NotMember"), refused


def test_the_operator_issues_lists_and_takes_back(own_server):
    _, member, did = garden(own_server)

    def kith_attestation(*arguments):
        done = own_server.command("attestation", *arguments, "--did", did, "--json", "--data", str(own_server.folder))
        return json.loads(done.stdout)

    who = ("--subject", member.did, "--subject-handle", member.handle, "--type", "credential")
    shown = kith_attestation("issue", *who, "--claim", '{"swims": true}')
    hidden = kith_attestation("issue", *who, "--claim", '{"swims": true}', "--private")
    assert len(hidden["commitment"]) == 64
    listed = kith_attestation("list", "--type", "credential")
    assert [one["rkey"] for one in listed] == [hidden["rkey"], shown["rkey"]]
    assert [one["claim"] for one in listed] == [None, {"swims": True}]
    assert kith_attestation("delete", shown["rkey"], "--reason", "the lake is gone")["success"]
    assert [one["rkey"] for one in kith_attestation("list")] == [hidden["rkey"]]
    noted = own_server.operator().get("net.openfederation.audit.list", target=did).ok()["entries"]
    assert "community.attestation.delete" in {one["action"] for one in noted}
