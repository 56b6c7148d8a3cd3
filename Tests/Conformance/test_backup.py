"""Backups taken under load: they restore to a state that verifies, and the event sequence goes on without reuse."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

import pytest
from test_durability import Writer

import bucket
import database
import firehose
import judge
import kith

WRITERS = 8


@pytest.fixture
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="kith-backup-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Load:
    """Writers that write until they are told to stop, and what was acknowledged to them."""

    def __init__(self, clients):
        self.writers = [Writer(clients[index % len(clients)], index * 100_000) for index in range(WRITERS)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        while any(not writer.done for writer in self.writers):
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        for writer in self.writers:
            writer.join()

    def acknowledged(self):
        return {(writer.client.did, one.path): one.cid for writer in self.writers for one in list(writer.done)}


def command(server, *arguments, check=True):
    return server.command("backup", *arguments, check=check)


def make_key(server, folder):
    made = json.loads(command(server, "key", "--data", str(server.folder), "--json").stdout)
    path = folder / "recovery.key"
    path.write_text(made["recoveryKey"] + "\n")
    return path


def test_under_load_restored_and_going_on(make_server, folder):
    server = make_server()
    clients = server.accounts(4)
    key = make_key(server, folder)
    place = str(folder / "backups")
    blob = random.randbytes(9_000_000)
    uploaded = clients[0].post("com.atproto.repo.uploadBlob", data=blob, headers={"Content-Type": "image/png"}).ok()
    picture = {"$type": "com.example.picture", "blob": uploaded["blob"]}
    clients[0].create("com.example.picture", picture).ok()
    made = []
    with Load(clients) as load:
        for _ in range(3):
            before = load.acknowledged()
            made.append(
                (before, json.loads(command(server, "create", place, "--data", str(server.folder), "--json").stdout))
            )
        # More than the backup knows, and seen by others.
        time.sleep(0.5)
        seen = firehose.read(server, 0, lambda event: event.seq > made[-1][1]["eventHead"] + 20)
        server.kill()
    heads = {event.did: event.body["rev"] for event in seen if event.kind in ("#commit", "#sync")}
    newest = seen[-1].seq
    acknowledged, backup = made[-1]
    assert [one["number"] for _, one in made] == [1, 2, 3]
    assert backup["missingBlobs"] == [] and backup["blobs"] == 1 and newest > backup["eventHead"]
    assert made[2][1]["newBytes"] < 9_000_000 < made[0][1]["newBytes"], "the blob was saved twice"

    verdict = json.loads(command(server, "verify", place, "--key-file", str(key), "--newest", "3", "--json").stdout)
    assert verdict["sound"] and verdict["restored"] and verdict["repositories"] == 5 and verdict["blobs"] == 1
    outside = json.loads(command(server, "verify", place, "--json").stdout)
    assert outside["sound"] and not outside["restored"]

    data = folder / "restored"
    other = make_server(data, start=False)
    restored = json.loads(
        command(other, "restore", place, "--key-file", str(key), "--data", str(data), "--json").stdout
    )
    assert restored["eventHead"] == backup["eventHead"] and restored["renewed"] == 5
    assert restored["continuesAfter"] >= backup["eventHead"] + 1_000_000
    again = command(other, "restore", place, "--key-file", str(key), "--data", str(data), check=False)
    assert again.returncode == 65, again

    other.port, other.base = server.port, server.base
    other.start()
    for client in clients:
        assert "valid" in other.command("repo", "verify", client.did, "--data", str(data)).stdout
    check_records(other, acknowledged)
    found = other.anonymous().get("com.atproto.sync.getBlob", did=clients[0].did, cid=uploaded["blob"]["ref"]["$link"])
    assert found.content == blob
    check_events(other, clients, newest, heads)


def check_records(server, acknowledged):
    """Everything acknowledged before the backup began is there."""
    for did in {did for did, _ in acknowledged}:
        document = server.anonymous().raw("GET", f"/plc/{did}").ok()
        car = server.anonymous().get("com.atproto.sync.getRepo", did=did).content
        there = judge.check_repository(car, did, judge.signing_key(document)).entries
        missing = {path for (owner, path), cid in acknowledged.items() if owner == did and there.get(path) != cid}
        assert not missing, f"acknowledged before the backup and not in it: {missing}"


def check_events(server, clients, newest, heads):
    """Whoever was connected goes on at their cursor: no number comes again, every head is newer than theirs."""
    writer = server.sign_in(clients[0].handle)
    rev = writer.create("com.example.note", {"$type": "com.example.note", "text": "after"}).ok()["commit"]["rev"]
    fresh = firehose.read_until_rev(server, newest, clients[0].did, rev)
    assert all(event.seq > newest for event in fresh)
    assert [event.seq for event in fresh] == sorted({event.seq for event in fresh})
    for client in clients:
        mine = [event for event in fresh if event.did == client.did]
        assert [event.kind for event in mine[:3]] == ["#account", "#identity", "#sync"]
        assert mine[2].body["rev"] > heads[client.did], "others would take the head for an old one"
    last = [event for event in fresh if event.kind == "#commit"][-1]
    sync = [event for event in fresh if event.kind == "#sync" and event.did == clients[0].did][-1]
    assert last.body["since"] == sync.body["rev"]
    old = firehose.read_until_rev(server, 0, clients[0].did, rev)
    assert [event.seq for event in old] == sorted({event.seq for event in old})


def test_killed_while_at_it(make_server, folder):
    server = make_server()
    clients = server.accounts(2)
    key = make_key(server, folder)
    place = folder / "backups"
    for client in clients:
        answer = client.post(
            "com.atproto.repo.uploadBlob", data=random.randbytes(30_000_000), headers={"Content-Type": "image/png"}
        )
        client.create("com.example.picture", {"$type": "com.example.picture", "blob": answer.ok()["blob"]}).ok()
    command(server, "create", str(place), "--data", str(server.folder))
    for client in clients:
        client.create("com.example.note", {"$type": "com.example.note", "text": "more"}).ok()
    making = subprocess.Popen(
        [str(kith.BINARY), "backup", "create", str(folder / "other"), "--data", str(server.folder)],
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list((folder / "other").glob("pieces/*/*")):
        assert making.poll() is None, "it was over before it could be killed"
        time.sleep(0.002)
    server.kill()
    assert making.wait(timeout=60) != 0
    refused = command(server, "verify", str(folder / "other"), check=False)
    assert refused.returncode == 65, refused
    assert json.loads(command(server, "verify", str(place), "--key-file", str(key), "--json").stdout)["sound"]
    server.start()
    command(server, "create", str(folder / "other"), "--data", str(server.folder))
    verdict = command(server, "verify", str(folder / "other"), "--key-file", str(key), "--json")
    assert json.loads(verdict.stdout)["blobs"] == 2


def test_damage_is_told(make_server, folder):
    server = make_server()
    server.account()
    key = make_key(server, folder)
    place = folder / "backups"
    command(server, "create", str(place), "--data", str(server.folder))
    for path in sorted(one for one in place.rglob("*") if one.is_file() and one.name != "lock"):
        content = path.read_bytes()
        position = random.randrange(len(content))
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        for options in ([], ["--key-file", str(key)]):
            done = command(server, "verify", str(place), *options, check=False)
            assert done.returncode == 65, f"{path} at {position}: {done}"
        path.write_bytes(content)
    assert command(server, "verify", str(place), "--key-file", str(key)).returncode == 0


# In a bucket.


@pytest.fixture(scope="module")
def store():
    running = bucket.Bucket().start()
    yield running
    running.stop()


@pytest.fixture
def place(store):
    """A prefix of the bucket that nobody has used."""
    return f"backups/{kith.unique()}"


@pytest.fixture
def bucket_server(make_server):
    return make_server(KITH_BACKUP_ACCESS_KEY="testing", KITH_BACKUP_SECRET_KEY="testing-secret")


def in_json(server, *arguments):
    return json.loads(command(server, *arguments, "--json").stdout)


def test_in_a_bucket(bucket_server, make_server, store, place, folder):
    server, location = bucket_server, store.place(place)
    clients = server.accounts(2)
    key = make_key(server, folder)
    data = ["--data", str(server.folder)]
    blob = random.randbytes(6_000_000)
    uploaded = clients[0].post("com.atproto.repo.uploadBlob", data=blob, headers={"Content-Type": "image/png"}).ok()
    clients[0].create("com.example.picture", {"$type": "com.example.picture", "blob": uploaded["blob"]}).ok()
    with Load(clients) as load:
        made = [in_json(server, "create", location, *data)]
        before = load.acknowledged()
        made.append(in_json(server, "create", location, *data))
        server.kill()
    assert [one["number"] for one in made] == [1, 2] and made[1]["newBytes"] < 6_000_000 < made[0]["newBytes"]
    keys = store.keys()
    assert f"{place}/backups/000002" in keys and f"{place}/lock" not in keys
    assert [one["number"] for one in in_json(server, "list", location)] == [1, 2]
    verdict = in_json(server, "verify", location, "--key-file", str(key), "--newest", "2")
    assert verdict["sound"] and verdict["restored"] and verdict["blobs"] == 1

    # A flipped byte anywhere is found.
    for name in (one for one in keys if one.startswith(place)):
        content = store.get(name)
        position = random.randrange(len(content))
        store.put(name, content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        done = command(server, "verify", location, check=False)
        assert done.returncode == 65, f"{name} at {position}: {done}"
        store.put(name, content)
    assert in_json(server, "verify", location)["sound"]

    pruned = in_json(server, "prune", location, "--keep", "1", *data)
    assert pruned["kept"] == [2] and pruned["removed"] == [1]
    assert in_json(server, "verify", location, "--key-file", str(key))["sound"]

    restored = folder / "restored"
    other = make_server(restored, start=False, **{k: v for k, v in server.environment.items() if "BACKUP" in k})
    in_json(other, "restore", location, "--key-file", str(key), "--data", str(restored))
    other.port, other.base = server.port, server.base
    other.start()
    check_records(other, before)
    found = other.anonymous().get("com.atproto.sync.getBlob", did=clients[0].did, cid=uploaded["blob"]["ref"]["$link"])
    assert found.content == blob


def test_an_upload_to_a_bucket_is_interrupted(bucket_server, store, place, folder):
    server, location = bucket_server, store.place(place)
    client = server.account()
    make_key(server, folder)
    data = ["--data", str(server.folder)]
    command(server, "create", location, *data)

    def begin():
        answer = client.post(
            "com.atproto.repo.uploadBlob", data=random.randbytes(60_000_000), headers={"Content-Type": "image/png"}
        )
        client.create("com.example.picture", {"$type": "com.example.picture", "blob": answer.ok()["blob"]}).ok()
        before = set(store.keys())
        making = subprocess.Popen(
            [str(kith.BINARY), "backup", "create", location, *data],
            env=server.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not [one for one in set(store.keys()) - before if "/pieces/" in one]:
            assert making.poll() is None, "it was over before it could be broken off"
        return making

    # Whoever asked goes away: the place is free again.
    making = begin()
    making.terminate()
    assert making.wait(timeout=60) != 0
    limit = time.monotonic() + 30
    while f"{place}/lock" in store.keys():
        assert time.monotonic() < limit, "the lock stays"
        time.sleep(0.05)
    assert [one["number"] for one in in_json(server, "list", location)] == [1]
    assert in_json(server, "create", location, *data)["number"] == 2
    assert in_json(server, "verify", location)["sound"]

    # The server dies: its lock ends by itself in ten minutes, or is removed.
    making = begin()
    server.kill()
    assert making.wait(timeout=60) != 0
    assert [one["number"] for one in in_json(server, "list", location)] == [1, 2]
    assert in_json(server, "verify", location)["sound"]
    server.start()
    refused = command(server, "create", location, *data, check=False)
    assert refused.returncode != 0 and "a backup is being made there" in refused.stdout + refused.stderr
    store.delete(f"{place}/lock")
    assert in_json(server, "create", location, *data)["number"] == 3
    assert in_json(server, "verify", location)["sound"]


def test_a_failing_bucket_is_free_again_once_it_answers(bucket_server, store, place, folder):
    """Whatever the bucket did to a backup that failed, the next one needn't wait for its lock."""
    server = bucket_server
    make_key(server, folder)
    front = bucket.Failing(store)
    try:
        location, data = front.place(place), ["--data", str(server.folder)]
        for number, refuses in enumerate(
            (
                lambda method, path: method == "PUT" and path.endswith("/lock"),
                lambda method, path: method == "PUT" and "/pieces/" in path,
                lambda method, path: method == "DELETE" and path.endswith("/lock"),
            ),
            1,
        ):
            front.refuses = refuses
            done = command(server, "create", location, *data, check=False)
            # A backup that was made stays made, even if its lock could not be given back.
            assert (done.returncode == 0) == (number == 3), done
            assert front.failing
            front.heal()
            made = in_json(server, "create", location, *data)
            assert made["number"] == (number if number < 3 else 4) and f"{place}/lock" not in store.keys()
        assert in_json(server, "verify", location)["sound"]
    finally:
        front.stop()


def test_a_refused_restore_changes_nothing(make_server, folder):
    cluster = database.Cluster()
    server = make_server(KITH_DATABASE_URL="")
    server.account()
    key = make_key(server, folder)
    command(server, "create", str(folder / "backups"), "--data", str(server.folder))
    names = [kith.unique("taken"), kith.unique("free")]
    taken, free = (cluster.make(name) for name in names)
    target = folder / "target"
    restore = ["restore", str(folder / "backups"), "--key-file", str(key), "--data", str(target)]
    # A table that could not even be copied is one all the same.
    cluster.run("CREATE TABLE theirs (id INTEGER)", names[0])
    for is_there in (False, True):
        if is_there:
            target.mkdir()
        for address in (taken, cluster.address("never"), f"sqlite:{folder}/not/there/kith.sqlite"):
            done = command(server, *restore, "--to", address, check=False)
            assert done.returncode != 0, done
            if address == taken:
                assert done.returncode == 65 and "the table theirs) isn't empty" in done.stderr, done
            assert (list(target.iterdir()) == []) if is_there else not target.exists()
    command(server, *restore, "--to", free)
    cluster.close()


def test_mistakes_about_the_bucket(bucket_server, store, place, folder):
    server = bucket_server
    make_key(server, folder)
    for location, said in (
        ("s3://kith-test/x?region=", "region"),
        ("s3://not-there-at-all/x?endpoint=" + store.endpoint, "no such bucket"),
        ("s3://kith-test/x?endpoint=http://127.0.0.1:9", "can't be reached"),
        (store.place(place), "no backup"),
    ):
        done = command(server, "list", location, check=False)
        assert done.returncode != 0 and said in done.stdout + done.stderr, done
        if said == "no backup":
            continue
        done = command(server, "create", location, "--data", str(server.folder), check=False)
        assert done.returncode != 0 and said in done.stdout + done.stderr, done
    store.put(f"{place}/something", b"else")
    done = command(server, "create", store.place(place), "--data", str(server.folder), check=False)
    assert done.returncode != 0 and "no backup" in done.stdout + done.stderr, done
    assert store.get(f"{place}/something") == b"else"


def test_prune(make_server, folder):
    server = make_server()
    client = server.account()
    key = make_key(server, folder)
    place, data = str(folder / "backups"), ["--data", str(server.folder)]
    for index in range(4):
        client.create("com.example.note", {"$type": "com.example.note", "index": index}).ok()
        command(server, "create", place, *data)
    assert command(server, "prune", place, "--keep", "0", *data, check=False).returncode == 64
    path = folder / "backups" / "backups" / "000003"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert command(server, "prune", place, "--keep", "2", *data, check=False).returncode == 65
    path.write_bytes(content)
    assert len(in_json(server, "list", place)) == 4
    pruned = in_json(server, "prune", place, "--keep", "2", "--key-file", str(key))
    assert pruned["kept"] == [3, 4] and pruned["removed"] == [1, 2] and pruned["removedBytes"] > 0
    assert "kept" in command(server, "prune", place, "--keep", "2", *data).stdout
    assert in_json(server, "verify", place, "--key-file", str(key), "--number", "3", "--newest", "4")["sound"]
    assert in_json(server, "create", place, *data)["number"] == 5


@pytest.mark.skipif(not os.environ.get("KITH_TEST_POSTGRESQL_BINARIES"), reason="needs scripts/with-postgresql")
def test_point_in_time():
    """PostgreSQL's own tools: a base backup, the archive of its log, and a moment in between."""
    script = kith.ROOT / "scripts" / "try-point-in-time"
    environment = {**os.environ, "KITH_BINARY": str(kith.BINARY)}
    done = subprocess.run([str(script)], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
