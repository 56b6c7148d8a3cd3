"""The topology of docs/topology.md as it is written there: three web processes and a worker behind haproxy, on
PostgreSQL with a streaming replica and on a bucket; whole, and with each part taken away and given back."""

import collections
import contextlib
import os
import pathlib
import random
import tempfile
import threading
import time

import pytest
import requests
from test_processes import (
    LOST,
    NOTE,
    Follower,
    Writer,
    check_history,
    check_repositories,
    document_key,
    elsewhere,
    read_all,
)

import bucket
import database
import firehose
import front
import judge
import kith
from test_blobs import GET as GET_BLOB
from test_blobs import PNG, keep, upload

WEB = 3
WRITERS = 12
# What a client may see through haproxy while a process goes: try again.
RETRYABLE = (429, 502, 503, 504)
SECRET = "a secret that all processes share, of 32 bytes or more"
WEB_ROLES = ["blobs", "communities", "firehose", "identity", "pages", "repositories"]


class Topology:
    """All of it, running until `parts` are closed."""

    def __init__(self, folder, parts):
        self.primary = database.Cluster()
        parts.callback(self.primary.close)
        self.bucket = bucket.Bucket().start()
        parts.callback(self.bucket.stop)
        self.front = front.Front(folder)
        url = self.primary.make("kith")
        self.replica = database.Replica(self.primary).start()
        parts.callback(self.replica.stop)
        self.settings = {
            **self.bucket.settings,
            "KITH_DATABASE_URL": url,
            "KITH_DATABASE_REPLICA_URL": self.replica.address("kith"),
            "KITH_KEY_ENCRYPTION_SECRET": SECRET,
            "KITH_HOSTNAME": f"localhost:{self.front.port}",
        }
        self.web = [self._start("web", parts) for _ in range(WEB)]
        self.worker = self._start("worker", parts)
        parts.callback(self.front.stop)
        self.front.start(self.web)

    def _start(self, roles, parts):
        server = kith.Server(environment=self.settings, arguments=("--roles", roles))
        parts.callback(server.remove)
        return server.start()


@pytest.fixture(scope="module")
def topology():
    with tempfile.TemporaryDirectory(prefix="kith-front-") as folder, contextlib.ExitStack() as parts:
        running = Topology(pathlib.Path(folder), parts)
        yield running
        for server in [*running.web, running.worker]:
            assert server.alive(), server.log_tail()


def test_roles_and_health(topology):
    """Each process says what it runs, and answers 404 for what it doesn't."""
    for server in topology.web:
        assert server.anonymous().get("_health").ok()["roles"] == WEB_ROLES
        assert server.anonymous().get("com.atproto.sync.listRepos").status == 200
    worker = topology.worker.anonymous()
    assert worker.get("_health").ok()["roles"] == ["worker"]
    worker.get("com.atproto.server.describeServer").ok()
    for path in (
        "/xrpc/com.atproto.server.getSession",
        "/xrpc/com.atproto.sync.listRepos",
        "/xrpc/com.atproto.sync.getBlob",
        "/xrpc/com.atproto.sync.subscribeRepos",
        "/plc/export",
        "/",
    ):
        assert worker.raw("GET", path).status == 404, path
    assert topology.front.anonymous().get("_health").ok()["roles"] == WEB_ROLES


def test_one_instance_through_the_front(topology):
    """Sign in on one, use all; what one takes, every other gives."""
    account = topology.front.account()
    key = judge.signing_key(topology.front.anonymous().raw("GET", f"/plc/{account.did}").ok())
    with firehose.Follower(topology.front) as follower:
        for server in topology.web:
            session = server.sign_in(account.handle)
            for other in topology.web:
                there = elsewhere(session, other)
                assert there.get("com.atproto.server.getSession").ok()["did"] == account.did
                rev = there.create(NOTE, {"$type": NOTE, "label": "x"}).ok()["commit"]["rev"]
                follower.wait_rev(account.did, rev)
            session.post(
                "com.atproto.server.deleteSession", headers={"Authorization": f"Bearer {session.refresh_token}"}
            ).ok()
        firehose.check_order(follower.events)
    data = PNG + os.urandom(300_000)
    blob = upload(account, data, "image/png").ok()["blob"]
    keep(account, blob)
    for server in topology.web:
        there = elsewhere(account, server)
        assert there.get(GET_BLOB, did=account.did, cid=blob["ref"]["$link"]).content == data
        refreshed = there.post(
            "com.atproto.server.refreshSession", headers={"Authorization": f"Bearer {account.refresh_token}"}
        ).ok()
        kith.adopt(account, refreshed, kith.PASSWORD)
    repository = judge.check_repository(account.car(), account.did, key)
    assert len(repository.entries) >= WEB * WEB
    statuses = [account.raw("GET", "/").status for _ in range(WEB * 2)]
    assert statuses == [200] * (WEB * 2)


def test_a_web_process_is_killed(topology):
    """Clients see what can be retried and nothing else; haproxy takes the process out, and back in."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, stop, site = random.Random(seed), threading.Event(), topology.front
    clients = site.accounts(4)
    keys = {client.did: document_key(topology.web[0], client.did) for client in clients}
    follower = Follower([site], random.Random(dice.random()))
    writers = [
        Writer(number, clients[number % 4], [site], stop, random.Random(dice.random()), RETRYABLE)
        for number in range(WRITERS)
    ]
    for thread in [follower, *writers]:
        thread.start()
    victim = topology.web[1]
    written = sum(len(writer.acknowledged) for writer in writers)
    database.wait_until(lambda: sum(len(writer.acknowledged) for writer in writers) > written + 200)
    mark = len(site.log())
    victim.kill()
    site.wait_for("Server web/web2 is DOWN", mark)
    # Now that it is out of rotation, nobody notices any more that it is missing.
    for _ in range(50):
        clients[0].create(NOTE, {"$type": NOTE}).ok()
    written = sum(len(writer.acknowledged) for writer in writers)
    database.wait_until(lambda: sum(len(writer.acknowledged) for writer in writers) > written + 200)
    mark = len(site.log())
    victim.start()
    site.wait_for("Server web/web2 is UP", mark)
    database.wait_until(lambda: site.served_by("web2", mark) > 20)
    stop.set()
    for thread in writers:
        thread.join(120)
        assert not thread.is_alive()
    answers = sum((writer.answers for writer in writers), collections.Counter())
    print(dict(answers))
    failures = [failure for writer in writers for failure in writer.failures]
    assert not failures, f"{len(failures)} answers that can't be retried, e.g. {failures[:3]}"

    events = read_all(site, clients[0])
    follower.goal = events[-1].seq
    follower.join(60)
    if follower.failure:
        raise follower.failure
    assert follower.frames == [event.raw for event in events][-len(follower.frames) :]
    check_history(events, keys)
    check_repositories([site], clients, keys, writers, events, dice)


def test_no_web_process_at_all(topology):
    """haproxy's own answer is an error of XRPC that can be retried."""
    site = topology.front
    mark = len(site.log())
    for server in topology.web:
        server.kill()
    site.wait_for("backend 'web' has no server available", mark)
    answer = site.anonymous().get("com.atproto.server.describeServer")
    assert answer.status == 503 and answer.error == "ServiceUnavailable" and answer.headers["Retry-After"] == "1"
    mark = len(site.log())
    for server in topology.web:
        server.start()
    for number in range(WEB):
        site.wait_for(f"Server web/web{number + 1} is UP", mark)
    site.anonymous().get("com.atproto.server.describeServer").ok()


def test_the_worker_is_gone_and_comes_back(topology):
    """Requests don't miss it; what it left undone, it does when it is back."""
    site = topology.front
    topology.worker.kill()
    account = site.account()
    before = set(topology.bucket.keys())
    blob = upload(account, os.urandom(1000)).ok()["blob"]
    keep(account, blob, "a")
    made = set(topology.bucket.keys()) - before
    assert len(made) == 1
    with firehose.Follower(site) as follower:
        rev = account.delete(NOTE, "a").ok()["commit"]["rev"]
        follower.wait_rev(account.did, rev)
    leaving = site.account()
    leaving.create(NOTE, {"$type": NOTE}).ok()
    site.operator().post("com.atproto.admin.deleteAccount", did=leaving.did).ok()
    for server in topology.web:
        assert elsewhere(leaving, server).create(NOTE, {"$type": NOTE}).status in (400, 401, 403)

    def left():
        return topology.primary.run("SELECT COUNT(*) FROM tree_disposal", "kith") != ["0"]

    assert made <= set(topology.bucket.keys()) and left()
    topology.worker.start()
    database.wait_until(lambda: not made & set(topology.bucket.keys()))
    database.wait_until(lambda: not left())


# The replica.


class Downloader(threading.Thread):
    """Downloads a repository again and again and judges what it gets: whole, with all that was acknowledged before."""

    def __init__(self, client, key):
        super().__init__(daemon=True)
        self.client, self.key, self.stop = client.again(), key, threading.Event()
        self.acknowledged, self.failure, self.answers = None, None, collections.Counter()

    def run(self):
        while self.failure is None and not self.stop.is_set():
            wanted = self.acknowledged
            try:
                answer = self.client.get("com.atproto.sync.getRepo", did=self.client.did)
                self.answers[answer.status] += 1
                if answer.status == 200:
                    found = judge.check_repository(answer.content, self.client.did, self.key, rebuild=False).rev
                    assert wanted is None or found >= wanted, f"{found} after {wanted} was acknowledged"
                else:
                    assert answer.status in RETRYABLE and answer.headers.get("Retry-After"), str(answer)
            except LOST:
                self.answers["lost"] += 1
            except requests.Timeout as failure:
                self.failure = failure
            except BaseException as failure:
                self.failure = failure


@pytest.fixture
def reading(topology):
    """An account with a repository worth a download, its key, and somebody who downloads it all the time."""
    account = topology.front.account()
    key = document_key(topology.web[0], account.did)
    for index in range(60):
        account.create(NOTE, {"$type": NOTE, "text": "x" * 500, "index": index}).ok()
    downloader = Downloader(account, key)
    downloader.start()
    yield account, key, downloader
    downloader.stop.set()
    downloader.join(60)
    assert not downloader.is_alive()
    print(dict(downloader.answers))
    if downloader.failure:
        raise downloader.failure
    assert downloader.answers[200] > 2


def write_and_read(topology, account, key, downloader):
    """A write through one, then downloads through all: each has it."""
    rev = account.create(NOTE, {"$type": NOTE}).ok()["commit"]["rev"]
    downloader.acknowledged = rev
    for site in [topology.front, *topology.web]:
        reader = elsewhere(account, site)
        reader.http.verify = site.trust or True
        answer = reader.get("com.atproto.sync.getRepo", did=account.did)
        answer.ok()
        assert judge.check_repository(answer.content, account.did, key, rebuild=False).rev == rev
        assert reader.head()["rev"] == rev


def test_reads_of_the_replica_follow_writes(topology, reading):
    account, key, downloader = reading
    for _ in range(20):
        write_and_read(topology, account, key, downloader)
    topology.replica.catch_up()
    before = topology.replica.downloads()
    downloader.stop.set()
    downloader.join(60)
    account.car()
    database.wait_until(lambda: topology.replica.downloads() > before)


def test_a_lagging_replica_gives_nothing_stale(topology, reading):
    account, key, downloader = reading
    topology.replica.pause()
    try:
        for _ in range(5):
            write_and_read(topology, account, key, downloader)
        before = topology.replica.downloads()
        account.car()
        assert topology.replica.downloads() == before, "a download from a replica that lags"
    finally:
        topology.replica.resume()
    topology.replica.catch_up()
    database.wait_until(lambda: account.car() and topology.replica.downloads() > before)


def test_a_frozen_replica_is_waited_for_briefly(topology, reading):
    account, key, downloader = reading
    account.car()
    topology.replica.freeze()
    try:
        for _ in range(2):
            began = time.monotonic()
            write_and_read(topology, account, key, downloader)
            took = time.monotonic() - began
            # Each of the four downloads waits for some seconds; without a bound they would wait for ever.
            assert took < 90, f"{took:.0f} s"
    finally:
        topology.replica.thaw()
    topology.replica.catch_up()
    before = topology.replica.downloads()
    database.wait_until(lambda: account.car() and topology.replica.downloads() > before)


def test_a_stopped_replica_is_not_missed(topology, reading):
    account, key, downloader = reading
    account.car()
    topology.replica.stop()
    for _ in range(5):
        write_and_read(topology, account, key, downloader)
    topology.replica.start()
    topology.replica.catch_up()
    before = topology.replica.downloads()
    database.wait_until(lambda: account.car() and topology.replica.downloads() > before)
    write_and_read(topology, account, key, downloader)


def test_a_promoted_replica_is_renewed_first(make_server):
    """The last acknowledged writes are lost with the primary; after `backup renew` no number is given again."""
    primary = database.Cluster()
    try:
        settings = {"KITH_KEY_ENCRYPTION_SECRET": SECRET, "KITH_DATABASE_URL": primary.make("kith")}
        server = make_server(**settings)
        client = server.account()
        replica = database.Replica(primary).start()
        replica.catch_up()
        replica.stop("fast")
        lost = [client.create(NOTE, {"$type": NOTE, "lost": index}).ok() for index in range(3)]
        before = firehose.read_until_rev(server, 0, client.did, lost[-1]["commit"]["rev"])
        server.stop()
        primary.stop()
        replica.start()
        replica.run("SELECT pg_promote()")
        server.environment["KITH_DATABASE_URL"] = replica.address("kith")
        server.command("backup", "renew", "--data", str(server.folder))
        server.start()
        again = kith.Site.sign_in(server, client.handle, client.password)
        made = again.create(NOTE, {"$type": NOTE, "after": 1}).ok()
        after = firehose.read_until_rev(server, before[-1].seq, client.did, made["commit"]["rev"])
        assert after and all(event.seq > before[-1].seq for event in after)
        assert again.get("com.atproto.repo.getRecord", **place_of(lost[-1]["uri"])).status == 400
        server.stop()
        replica.stop("fast")
    finally:
        primary.close()


def place_of(uri):
    repo, collection, rkey = uri.removeprefix("at://").split("/")
    return {"repo": repo, "collection": collection, "rkey": rkey}
