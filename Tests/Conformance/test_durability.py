"""What was acknowledged is on disk: kill -9 at random moments, and a disk that fills up."""

import contextlib
import dataclasses
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
import requests

import database
import firehose
import judge
import kith

KILLS = int(os.environ.get("KITH_CONFORMANCE_KILLS", "50"))
WRITERS = 8


@dataclasses.dataclass
class Acknowledged:
    """A write whose answer arrived."""

    path: str
    cid: str
    rev: str


class Writer(threading.Thread):
    """Creates records one after another until the connection breaks, and notes what was acknowledged."""

    def __init__(self, client, first):
        super().__init__(daemon=True)
        self.client, self.index, self.done, self.failure = client.again(), first, [], None

    def run(self):
        try:
            while True:
                self.index += 1
                record = {"$type": "com.example.note", "index": self.index, "text": "x" * (self.index % 500)}
                answer = self.client.create("com.example.note", record)
                if answer.status != 200:
                    self.failure = str(answer)
                    return
                done = answer.json
                self.done.append(Acknowledged(done["uri"].split("/", 3)[3], done["cid"], done["commit"]["rev"]))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            return


class Ledger:
    """Everything acknowledged so far and every event seen so far."""

    def __init__(self, server, clients):
        self.server, self.clients = server, clients
        self.keys = {
            client.did: judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
            for client in clients
        }
        self.acknowledged = {client.did: [] for client in clients}
        self.events = []

    @property
    def cursor(self):
        return self.events[-1].seq if self.events else 0

    def check(self):
        """After a restart: heads, last events and exports agree, and nothing acknowledged is missing or doubled."""
        heads = {client.did: client.head() for client in self.clients}
        marker = self.clients[0].create("com.example.marker", {"$type": "com.example.marker"}).ok()
        rev = marker["commit"]["rev"]
        fresh = firehose.read_until_rev(self.server, self.cursor, self.clients[0].did, rev)
        assert all(event.seq > self.cursor for event in fresh)
        self.events += fresh
        last = firehose.check_order(self.events)
        assert last[self.clients[0].did]["rev"] == rev
        self.acknowledged[self.clients[0].did].append(Acknowledged(marker["uri"].split("/", 3)[3], marker["cid"], rev))
        for client in self.clients:
            event = last[client.did]
            if client is not self.clients[0]:
                assert heads[client.did]["rev"] == event["rev"], "the head is not the last event"
                assert heads[client.did]["cid"] == judge.text(event["commit"])
            revs = [one.body["rev"] for one in self.events if one.kind == "#commit" and one.did == client.did]
            assert len(set(revs)) == len(revs), "an event is doubled"
            missing = {one.rev for one in self.acknowledged[client.did]} - set(revs)
            assert not missing, f"acknowledged commits without an event: {missing}"
            self.check_export(client, event, client is self.clients[0])

    def check_export(self, client, event, judge_whole):
        roots, listed = judge.read_car(client.car())
        assert roots == [event["commit"]], "the export's root is not the last event's"
        if judge_whole:
            entries = judge.check_repository(client.car(), client.did, self.keys[client.did], rebuild=False).entries
        else:
            blocks = dict(listed)
            commit = judge.check_commit(blocks[roots[0]], client.did, self.keys[client.did])
            entries = {path: judge.text(cid) for path, cid in judge.walk(blocks, commit["data"])[0].items()}
        for one in self.acknowledged[client.did]:
            assert entries.get(one.path) == one.cid, f"{one.path} was acknowledged and is not there"


def test_kill_at_random_moments(own_server):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, server = random.Random(seed), own_server
    clients = server.accounts(4)
    ledger, written = Ledger(server, clients), 0
    for _ in range(KILLS):
        writers = [Writer(clients[index % len(clients)], written + index * 100_000) for index in range(WRITERS)]
        for writer in writers:
            writer.start()
        # The moment of the cut is the experiment; nothing is waited for here.
        time.sleep(dice.uniform(0.01, 0.4))
        server.kill()
        for writer in writers:
            writer.join()
            assert writer.failure is None, writer.failure
            ledger.acknowledged[writer.client.did] += writer.done
            written += len(writer.done)
        server.start()
        ledger.check()
    print(f"{written} acknowledged writes, {len(ledger.events)} events, {KILLS} kills")
    assert written > KILLS, "hardly anything was written; this proves nothing"
    replayed = firehose.read(server, 0, lambda event: event.seq == ledger.cursor)
    assert [event.raw for event in replayed] == [event.raw for event in ledger.events]
    for client in clients:
        judge.check_repository(client.car(), client.did, ledger.keys[client.did])
    for event in ledger.events:
        if event.kind == "#commit":
            judge.check_commit_event(event.body, ledger.keys.get(event.did))


def test_kill_during_sign_up_leaves_whole_accounts(own_server):
    """An acknowledged account is whole; a name whose creation was cut can be taken again, or works."""
    server, dice = own_server, random.Random()
    domain = server.domain()
    for _ in range(5):
        names, done = [kith.unique("cut") for _ in range(6)], {}

        def sign_up(name, done=done):
            with contextlib.suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                done[name] = server.account(name)

        threads = [threading.Thread(target=sign_up, args=(name,), daemon=True) for name in names]
        for thread in threads:
            thread.start()
        time.sleep(dice.uniform(0.01, 0.6))
        server.kill()
        for thread in threads:
            thread.join()
        server.start()
        for name in names:
            if name in done:
                server.sign_in(name + domain).create("com.example.note", {"$type": "com.example.note"}).ok()
                judge.check_repository(
                    done[name].car(),
                    done[name].did,
                    judge.signing_key(server.anonymous().raw("GET", f"/plc/{done[name].did}").ok()),
                )
                continue
            again = server.anonymous().post(
                "com.atproto.server.createAccount",
                handle=name + domain,
                email=f"{name}@mail.test",
                password=kith.PASSWORD,
            )
            if again.status != 200:
                server.sign_in(name + domain).create("com.example.note", {"$type": "com.example.note"}).ok()


@pytest.fixture
def small_disk():
    """A file system of 48 MB, where the machine lets us mount one."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kith-disk-"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no file system of our own here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    folder.rmdir()


def fill(folder):
    """Takes what is left of a disk, to the last byte."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


@pytest.fixture
def server_on_small_disk(make_server, small_disk):
    """A server whose database and blobs lie on the small disk."""
    if not database.IS_POSTGRESQL:
        yield make_server(small_disk / "data")
        return
    databases, name = database.Databases(database.URL), "kith_small"
    place = small_disk / "tables"
    place.mkdir()
    if os.getuid() == 0:
        shutil.chown(place, "postgres", "postgres")
    databases.run(f"CREATE TABLESPACE {name} LOCATION '{place}'")
    server = make_server(small_disk / "data", KITH_DATABASE_URL=databases.make(name, f"TABLESPACE {name}"))
    yield server
    server.stop()
    databases.drop(name)
    databases.run(f"DROP TABLESPACE {name}")


def test_full_disk(server_on_small_disk, small_disk):
    server = server_on_small_disk
    client = server.account()
    key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
    acknowledged = {}

    def write(index):
        answer = client.create("com.example.note", {"$type": "com.example.note", "index": index, "text": "y" * 4000})
        if answer.status == 200:
            acknowledged[answer.json["uri"].split("/", 3)[3]] = answer.json["cid"]
        return answer

    for index in range(50):
        write(index).ok()
    filler = fill(small_disk)
    refused = []
    for index in range(400):
        answer = write(1000 + index)
        if answer.status != 200:
            assert answer.status >= 500, str(answer)
            assert answer.error, str(answer)
            refused.append(answer)
        if len(refused) >= 20:
            break
    assert refused, "the disk was full and every write was acknowledged"
    blob = client.post("com.atproto.repo.uploadBlob", data=os.urandom(1 << 20), headers={"Content-Type": "image/png"})
    assert blob.status >= 500 and blob.error, str(blob)
    assert server.alive(), server.log_tail()
    assert server.anonymous().get("_health").status in (200, 503)
    assert client.get("com.atproto.repo.listRecords", repo=client.did, collection="com.example.note", limit=10).ok()[
        "records"
    ]

    filler.unlink()
    limit = time.monotonic() + 30
    while write(5000).status != 200:
        assert time.monotonic() < limit, "no recovery within 30 s of space coming back"
    for _ in range(2):
        repository = judge.check_repository(client.car(), client.did, key)
        assert {path: repository.entries.get(path) for path in acknowledged} == acknowledged
        events = firehose.read_until_rev(server, 0, client.did, repository.rev)
        firehose.check_order(events)
        commits = [event.body for event in events if event.kind == "#commit" and event.did == client.did]
        for commit in commits:
            judge.check_commit_event(commit, key)
        assert judge.text(commits[-1]["commit"]) == repository.commit_cid
        server.stop()
        server.start()


def test_orderly_stop_finishes_what_was_accepted(own_server):
    """SIGTERM under load: every answer that arrived holds, and the exit code is 0."""
    client = own_server.account()
    writers = [Writer(client, index * 100_000) for index in range(WRITERS)]
    for writer in writers:
        writer.start()
    while sum(len(writer.done) for writer in writers) < 40:
        assert own_server.alive()
        time.sleep(0.01)
    assert own_server.stop() == 0
    for writer in writers:
        writer.join()
    own_server.start()
    key = judge.signing_key(own_server.anonymous().raw("GET", f"/plc/{client.did}").ok())
    entries = judge.check_repository(client.car(), client.did, key).entries
    for writer in writers:
        for one in writer.done:
            assert entries.get(one.path) == one.cid
