"""The first minute: a one-time link, an administrator, and the operator's commands."""

import json
import pathlib
import re

import pytest

import judge
import kith


def told(done):
    """The one line of JSON that a failed command told programs."""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and done.stdout == "", f"{done.stdout}\n{done.stderr}"
    return json.loads(lines[0])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["account", "list", "--status", "bogus"], 64),
        (["account", "list", "--role", "bogus"], 64),
        (["account", "delete", "ada"], 64),
        (["invite", "create", "--expires", "yesterday"], 64),
        (["invite", "create", "--uses", "0"], 64),
        (["invite", "list", "--status", "bogus"], 64),
        (["account", "show", "nobody-at-all"], 65),
        (["repo", "verify", "/tmp"], 66),
        (["account", "list", "--data", "./none"], 66),
        (["account", "list", "--config", "./none.yaml"], 78),
    ],
)
def test_failed_commands(server, arguments, code):
    if "--data" not in arguments:
        arguments = [*arguments, "--data", str(server.folder)]
    done = server.command(*arguments, check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stderr}"
    assert done.stderr and "Domain" not in done.stderr, done.stderr
    done = server.command(*arguments, "--json", check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stderr}"
    failure = told(done)
    assert failure["error"] and failure["message"]
    assert not pathlib.Path("none").exists()


@pytest.fixture
def empty_server():
    """A server that nobody has set up, as `make run` starts it the first time."""
    server = kith.Server()
    for key in [key for key in server.environment if "BOOTSTRAP" in key]:
        del server.environment[key]
    server.start()
    yield server
    server.remove()


def link(server):
    """The path of the set-up link that the server printed, or None."""
    found = re.search(r"http://\S+(/setup\?\S+)", server.log_tail())
    return found.group(1) if found else None


def fill(server, page, **fields):
    """Sends the form of a page with these fields filled in."""
    inputs = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
    return server.anonymous().raw("POST", "/setup", data={**inputs, **fields})


def test_the_link_makes_one_administrator(empty_server):
    server = empty_server
    path = link(server)
    assert path, f"no link was printed:\n{server.log_tail()}"
    assert server.anonymous().raw("GET", "/setup").status == 404
    assert server.anonymous().raw("GET", path[:-4] + "AAAA").status == 404
    page = server.anonymous().raw("GET", path).content.decode()
    weak = fill(server, page, handle="ada", email="ada@mail.test", password="short")
    assert weak.status == 400 and b"assword" in weak.content
    hostile = fill(server, page, handle="<script>alert(1)</script>", email='"><b>', password=kith.PASSWORD)
    assert hostile.status == 400 and b"<script>alert" not in hostile.content and b'"><b>' not in hostile.content
    done = fill(server, page, handle="ada", email="ada@mail.test", password=kith.PASSWORD)
    assert done.status in (200, 303), str(done)
    client = server.sign_in("ada")
    assert client.get("net.openfederation.account.list", role="admin").ok()["total"] == 1
    client.create("app.bsky.feed.post", kith.post_record()).ok()
    assert fill(server, page, handle="eve", email="eve@mail.test", password=kith.PASSWORD).status in (403, 404)
    assert server.anonymous().raw("GET", path).status == 404


def test_the_link_is_new_at_each_start_and_ends_with_the_first_administrator(empty_server):
    server = empty_server
    first = link(server)
    server.stop()
    server.log_path.write_text("")
    server.start()
    second = link(server)
    assert second and second != first
    assert server.anonymous().raw("GET", first).status == 404
    page = server.anonymous().raw("GET", second).content.decode()
    assert fill(server, page, handle="ada", email="ada@mail.test", password=kith.PASSWORD).status in (200, 303)
    server.stop()
    server.log_path.write_text("")
    server.start()
    assert link(server) is None


def test_the_start_page_shows_nothing_foreign(server):
    server.account()
    page = server.anonymous().raw("GET", "/", headers={"Accept": "text/html"})
    assert page.status == 200 and b"<html" in page.content
    assert b"<script" not in page.content
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def run(server, *arguments, check=True):
    done = server.command(*arguments, "--data", str(server.folder), "--json", check=check)
    return json.loads(done.stdout) if done.stdout.strip() else None


def test_commands(server):
    name = kith.unique("cmd")
    made = run(
        server, "account", "create", "--handle", name, "--email", f"{name}@mail.test", "--password", kith.PASSWORD
    )
    assert made["did"].startswith("did:plc:")
    client = server.sign_in(name)
    client.create("com.example.note", {"$type": "com.example.note"}).ok()
    assert name in json.dumps(run(server, "account", "list", "--search", name))
    run(server, "account", "suspend", name)
    assert client.create("com.example.note", {"$type": "com.example.note"}).status in (401, 403)
    run(server, "account", "unsuspend", name)
    server.sign_in(name).create("com.example.note", {"$type": "com.example.note"}).ok()
    run(server, "invite", "create")
    assert run(server, "invite", "list")
    wrong = server.command("account", "show", "nobody-there", "--data", str(server.folder), check=False)
    assert wrong.returncode not in (0, 64) and wrong.stderr.strip()
    usage = server.command("account", "frobnicate", check=False)
    assert usage.returncode == 64


def test_repository_commands(server, tmp_path):
    client = server.account()
    for index in range(20):
        client.create("com.example.note", {"$type": "com.example.note", "index": index}).ok()
    path = tmp_path / "out.car"
    if "repo" not in server.command("--help").stdout:
        pytest.skip("no repository commands yet")
    server.command("repo", "export", client.did, "--output", str(path), "--data", str(server.folder))
    key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
    before = judge.check_repository(path.read_bytes(), client.did, key)
    run(server, "repo", "verify", client.did)
    run(server, "repo", "rebuild", client.did)
    no_key = server.command("repo", "verify", str(path), "--key", "nope", check=False)
    assert no_key.returncode == 64 and "did:key" in no_key.stderr and "notADIDKey" not in no_key.stderr, no_key.stderr
    absent = server.command("repo", "verify", "absent.car", "--data", str(server.folder), check=False)
    assert absent.returncode == 66 and "absent.car: there is no such file" in absent.stderr, absent.stderr
    after = judge.check_repository(client.car(), client.did, key)
    assert after.entries == before.entries and after.data == before.data


def test_commands_without_a_running_server(own_server):
    own_server.account("stays")
    own_server.stop()
    listed = run(own_server, "account", "list")
    assert "stays" in json.dumps(listed)
    run(own_server, "account", "suspend", "stays")
    own_server.start()
    refused = own_server.anonymous().post(
        "com.atproto.server.createSession", identifier="stays", password=kith.PASSWORD
    )
    assert refused.status in (401, 403)


def test_one_server_a_folder(server):
    """A second server on the same data folder gives up with a reason, and harms nothing."""
    other = kith.Server(server.folder)
    with pytest.raises(kith.Failure, match="ended with"):
        other.start()
    server.account()


def test_mistakes_are_told_all_at_once(make_server):
    server = make_server(start=False, KITH_PORT="x", KITH_INVITE_REQUIRED="perhaps", KITH_HOSTNAME="not a name")
    done = server.command("serve", "--data", str(server.folder), check=False)
    assert done.returncode == 78
    for word in ("KITH_PORT", "KITH_INVITE_REQUIRED", "KITH_HOSTNAME"):
        assert word in done.stderr, done.stderr
