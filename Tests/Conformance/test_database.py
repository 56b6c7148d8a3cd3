"""The database moves from one engine to the other and back while people write, and nobody loses anything."""

import json
import pathlib
import random
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

WRITERS = 8
COLLECTION = "com.example.note"


@pytest.fixture(scope="module")
def engine():
    cluster = database.Cluster()
    yield cluster
    cluster.close()


@pytest.fixture
def elsewhere():
    with tempfile.TemporaryDirectory(prefix="kith-elsewhere-") as folder:
        yield pathlib.Path(folder)


def new_database(cluster, clause="ENCODING 'UTF8' LOCALE 'C'"):
    """The address of an empty database."""
    name = kith.unique("kith_target_")
    cluster.run(f"CREATE DATABASE {name} TEMPLATE template0 {clause}")
    return cluster.address(name)


def name_of(url):
    return url.split("/")[3].split("?")[0]


@pytest.fixture
def embedded(make_server, elsewhere):
    """A server that begins on SQLite, whatever engine the others are on."""
    return make_server(elsewhere / "data", KITH_DATABASE_URL=f"sqlite:{elsewhere}/data/kith.sqlite")


class Writer(threading.Thread):
    """Puts and deletes records under keys of its own, knows what must be there, and tries again what is refused."""

    def __init__(self, client, index, seed):
        super().__init__(daemon=True)
        self.client, self.index, self.dice = client.again(), index, random.Random(seed)
        self.expected, self.revs, self.refusals, self.failure = {}, [], 0, None
        self.longest_s = 0
        self.stopping = threading.Event()

    def run(self):
        try:
            turn = 0
            while not self.stopping.is_set():
                turn += 1
                self.write(turn)
        except BaseException as failure:
            self.failure = failure

    def write(self, turn):
        key = f"w{self.index}n{self.dice.randrange(400)}"
        path = f"{COLLECTION}/{key}"
        deletes = path in self.expected and self.dice.random() < 0.2
        record = {"$type": COLLECTION, "turn": turn, "text": "x" * self.dice.randrange(800)}
        first = time.monotonic()
        while True:
            began = time.monotonic()
            try:
                answer = self.client.delete(COLLECTION, key) if deletes else self.client.put(COLLECTION, key, record)
            except requests.RequestException:
                if self.stopping.is_set():
                    # Whether it arrived nobody knows.
                    self.expected[path] = None
                    return
                raise
            if answer.status == 200:
                break
            assert answer.status == 503, str(answer)
            assert int(answer.headers["Retry-After"]) >= 0, str(answer)
            self.refusals += 1
            time.sleep(max(0, 0.02 - (time.monotonic() - began)))
        self.longest_s = max(self.longest_s, time.monotonic() - first)
        if deletes:
            del self.expected[path]
        else:
            self.expected[path] = answer.json["cid"]
        if "commit" in answer.json:
            self.revs.append(answer.json["commit"]["rev"])

    def stop(self):
        self.stopping.set()
        self.join(60)
        assert not self.is_alive()
        if self.failure:
            raise self.failure


class Load:
    """Eight writers, two for each of four accounts."""

    def __init__(self, clients):
        self.clients = clients
        self.writers = []
        self.expected = {client.did: {} for client in clients}
        self.revs = {client.did: [] for client in clients}

    def start(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}")
        self.writers = [Writer(self.clients[i % len(self.clients)], i, seed + i) for i in range(WRITERS)]
        for writer in self.writers:
            writer.expected = {
                path: cid
                for path, cid in self.expected[writer.client.did].items()
                if path.startswith(f"{COLLECTION}/w{writer.index}n")
            }
            writer.start()
        return self

    @property
    def count(self):
        return sum(len(writer.revs) for writer in self.writers)

    def wait_for(self, more, limit_s=120):
        goal, limit = self.count + more, time.monotonic() + limit_s
        while self.count < goal:
            for writer in self.writers:
                assert writer.failure is None, writer.failure
            assert time.monotonic() < limit, f"{self.count} of {goal} writes in {limit_s} s"
            time.sleep(0.02)

    def stop(self):
        for writer in self.writers:
            writer.stop()
            kept = {
                path: cid
                for path, cid in self.expected[writer.client.did].items()
                if not path.startswith(f"{COLLECTION}/w{writer.index}n")
            }
            self.expected[writer.client.did] = kept | writer.expected
            self.revs[writer.client.did] += writer.revs
        return sum(writer.refusals for writer in self.writers), max(writer.longest_s for writer in self.writers)

    def check(self, server):
        """What everybody was told is there once, in the archives and in the firehose, and nothing else is."""
        for client in self.clients:
            client.base = server.base
            key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
            entries = judge.check_repository(client.car(), client.did, key).entries
            found = {path: cid for path, cid in entries.items() if path.startswith(COLLECTION)}
            assert found == self.expected[client.did]
        marker = self.clients[0].create("com.example.marker", {"$type": "com.example.marker"}).ok()
        events = firehose.read_until_rev(server, 0, self.clients[0].did, marker["commit"]["rev"])
        firehose.check_order(events)
        for client in self.clients:
            revs = [event.body["rev"] for event in events if event.kind == "#commit" and event.did == client.did]
            assert len(revs) == len(set(revs)), "an event is doubled"
            missing = set(self.revs[client.did]) - set(revs)
            assert not missing, f"{len(missing)} acknowledged commits without an event"
        return events


def copy(server, url, check=True):
    return server.command("database", "copy", "--data", str(server.folder), "--to", url, "--json", check=check)


def status(server):
    return json.loads(server.command("database", "status", "--data", str(server.folder), "--json").stdout)


def move_under_load(server, load, url):
    """Copies while everybody writes; returns what the command says."""
    load.start()
    try:
        with firehose.Follower(server, 0) as follower:
            load.wait_for(150)
            outcome = json.loads(copy(server, url).stdout)
            load.wait_for(150)
            refusals, longest_s = load.stop()
            events = load.check(server)
            follower.wait(lambda event: event.seq == events[-1].seq)
            assert [event.raw for event in follower.events] == [event.raw for event in events]
    finally:
        for writer in load.writers:
            writer.stopping.set()
    print(
        f"{load.count} writes; held {outcome['heldMilliseconds']} ms of {outcome['tookMilliseconds']} ms; "
        f"{refusals} refusals, the longest write took {longest_s * 1000:.0f} ms; "
        f"{outcome['changes']} changes in {outcome['rounds']} rounds"
    )
    assert outcome["differing"] == []
    assert {table["name"] for table in outcome["tables"]} >= {"record", "node", "repository", "log_event", "account"}
    for table in outcome["tables"]:
        assert (table["rows"], table["digest"]) == (table["targetRows"], table["targetDigest"]), table
    assert outcome["served"] is True
    return events


def check_old_is_refused(server):
    """The former database is not served any more, and says why."""
    assert server.stop() == 0
    done = subprocess.run(
        [str(kith.BINARY), "serve", "--data", str(server.folder), "--host", "127.0.0.1", "--port", "0"],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 78, done.stderr
    assert "was moved to" in done.stderr, done.stderr


def test_there_and_back_under_load(embedded, engine, elsewhere):
    server = embedded
    load = Load(server.accounts(4))
    there, back = new_database(engine), f"sqlite:{elsewhere}/kith.sqlite"
    for url, name in ((there, "postgresql"), (back, "sqlite")):
        before = move_under_load(server, load, url)
        check_old_is_refused(server)
        server.environment["KITH_DATABASE_URL"] = url
        server.start()
        assert status(server)["engine"] == name
        after = load.check(server)
        assert [event.raw for event in after[: len(before)]] == [event.raw for event in before]
    server.stop()


def test_kill_at_any_phase(embedded, engine):
    """Whoever dies, server or command: one database is whole and is served, and the copy can be begun anew."""
    server, dice = embedded, random.Random()
    load = Load(server.accounts(4))
    load.start()
    load.wait_for(100)
    load.stop()
    url = new_database(engine)
    moves = 0
    for _ in range(8):
        command = subprocess.Popen(
            [str(kith.BINARY), "database", "copy", "--data", str(server.folder), "--to", url],
            env=server.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # The moment of the cut is the experiment; nothing is waited for here.
        time.sleep(dice.uniform(0.05, 1.2))
        if dice.random() < 0.5:
            command.kill()
        else:
            server.kill()
        command.wait(60)
        if server.alive():
            # Broken off or not: writes are let in again.
            limit = time.monotonic() + 30
            while load.clients[0].put(COLLECTION, "probe", {"$type": COLLECTION}).status != 200:
                assert time.monotonic() < limit, "writes are still held"
                time.sleep(0.05)
            load.clients[0].delete(COLLECTION, "probe").ok()
            server.stop()
        try:
            server.start()
        except kith.Failure as failure:
            assert "was moved to" in str(failure), failure
            # Only the very last step may be left to do.
            copy(server, url, check=False)
            server.environment["KITH_DATABASE_URL"] = url
            server.start()
            moves += 1
            url = new_database(engine)
        load.check(server)
    outcome = copy(server, url, check=False)
    limit = time.monotonic() + 60
    # On a server that others may use, too, a copier counts as alive for a while after it was killed.
    while "under way" in outcome.stderr and time.monotonic() < limit:
        time.sleep(0.5)
        outcome = copy(server, url, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout)["differing"] == []
    load.check(server)
    print(f"{moves} of 8 copies had come to their end before the cut")
    server.stop()


def test_unsuitable_targets(embedded, make_server, engine, elsewhere):
    server, other = embedded, make_server(start=False)
    client = server.account()
    taken = new_database(engine)
    other.environment["KITH_DATABASE_URL"] = taken
    other.start()
    other.stop()
    newer = new_database(engine)
    other.environment["KITH_DATABASE_URL"] = newer
    other.command("database", "migrate", "--data", str(other.folder))
    engine.run(
        "INSERT INTO storage_migration (room, number, digest, applied_at) VALUES ('later', 1, '', 0)", name_of(newer)
    )
    foreign = new_database(engine)
    engine.run("CREATE TABLE theirs (id BIGINT PRIMARY KEY)", name_of(foreign))
    latin = new_database(engine, "ENCODING 'LATIN1' LOCALE 'C'")
    locked = new_database(engine)
    role = kith.unique("reader")
    engine.run(f"CREATE ROLE {role} LOGIN")
    engine.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC", name_of(locked))
    cases = {
        taken: "another instance",
        newer: "newer version",
        foreign: "not empty",
        latin: "UTF8",
        locked.replace("kith@", f"{role}@"): "may not make tables",
        engine.address("absent"): "does not exist",
        "postgresql://kith@127.0.0.1:1/kith": "can't be opened",
        server.environment["KITH_DATABASE_URL"]: "is to be copied",
        f"sqlite:{elsewhere}/no/such/folder/kith.sqlite": "can't be opened",
        "mysql://localhost/kith": "must be of the form",
    }
    for url, words in cases.items():
        done = copy(server, url, check=False)
        assert done.returncode != 0, url
        assert words in done.stderr, f"{url}: {done.stderr}"
        assert json.loads(done.stderr)["message"], done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert client.put(COLLECTION, "still", {"$type": COLLECTION}).status == 200
    assert "copy" not in status(server)
    assert status(server)["engine"] == "sqlite"
