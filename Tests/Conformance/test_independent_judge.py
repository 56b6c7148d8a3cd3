"""A thousand random operations, judged by other people's codecs, trees and curves."""

import random

import firehose
import judge
import keys
import kith

OPERATIONS = 1000
COLLECTIONS = ["app.bsky.feed.post", "com.example.note", "com.example.sub.note", "zone.other.thing"]


class Model:
    """What the repository should hold: {path: record}."""

    def __init__(self, client, seed):
        self.client, self.dice, self.records = client, random.Random(seed), {}
        self.revs = []

    def record(self, collection):
        if collection == "app.bsky.feed.post":
            return kith.post_record(f"number {self.dice.random()}")
        return {
            "$type": collection,
            "number": self.dice.randrange(-(2**53) + 1, 2**53),
            "text": self.dice.choice(["", "é", "日本", "\u0000", "a" * 300, "👩‍👩‍👧"]),
            "list": [None, True, {"deep": [1, {"er": []}]}],
            "bytes": {"$bytes": "aGVsbG8"},
            "link": {"$link": "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"},
        }

    def path(self):
        collection = self.dice.choice(COLLECTIONS)
        if collection == "app.bsky.feed.post":
            return collection, keys.tid(self.dice.randrange(2**50))
        return collection, f"{self.dice.choice('abcde~_.-:')}{self.dice.randrange(10**6)}"

    def existing(self):
        return self.dice.choice(sorted(self.records)).split("/")

    def step(self):
        """One random request; returns how many operations it stands for."""
        kind = self.dice.choices(["create", "put", "delete", "batch"], [6, 3, 3, 1])[0]
        if kind == "batch":
            return self.batch()
        if kind == "create" or not self.records:
            collection, rkey = self.path()
            record = self.record(collection)
            answer = self.client.create(collection, record, **({"rkey": rkey} if self.dice.random() < 0.5 else {}))
            done = answer.ok()
            path = done["uri"].split("/", 3)[3]
            assert path not in self.records
        elif kind == "put":
            collection, rkey = self.existing() if self.dice.random() < 0.7 else self.path()
            path, record = f"{collection}/{rkey}", self.record(collection)
            done = self.client.put(collection, rkey, record).ok()
        else:
            collection, rkey = self.existing()
            path, record = f"{collection}/{rkey}", None
            done = self.client.delete(collection, rkey).ok()
        self.set(path, record)
        self.revs.append(done["commit"]["rev"])
        return 1

    def batch(self):
        writes, touched = [], set()
        for _ in range(self.dice.randrange(1, 20)):
            if self.records and self.dice.random() < 0.5:
                collection, rkey = self.existing()
                path = f"{collection}/{rkey}"
                if path in touched:
                    continue
                kind = self.dice.choice(["update", "delete"])
            else:
                collection, rkey = self.path()
                path = f"{collection}/{rkey}"
                if path in touched or path in self.records:
                    continue
                kind = "create"
            touched.add(path)
            write = {"$type": f"com.atproto.repo.applyWrites#{kind}", "collection": collection, "rkey": rkey}
            if kind != "delete":
                write["value"] = self.record(collection)
            writes.append((path, write))
        if not writes:
            return 0
        body = {"repo": self.client.did, "writes": [write for _, write in writes]}
        done = self.client.post("com.atproto.repo.applyWrites", body).ok()
        for path, write in writes:
            self.set(path, write.get("value"))
        self.revs.append(done["commit"]["rev"])
        return len(writes)

    def set(self, path, record):
        if record is None:
            del self.records[path]
        else:
            self.records[path] = record


def test_a_thousand_random_operations(server):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    client = server.account()
    follower = firehose.Follower(server)
    model, done = Model(client, seed), 0
    while done < OPERATIONS:
        done += model.step()
    follower.wait_rev(client.did, model.revs[-1])
    follower.close()

    document = server.anonymous().raw("GET", f"/plc/{client.did}").ok()
    key = judge.signing_key(document)
    repository = judge.check_repository(client.car(), client.did, key)
    assert repository.rev == model.revs[-1] == max(model.revs)
    assert repository.commit_cid == client.head()["cid"]
    assert set(repository.entries) == set(model.records)

    commits = [event.body for event in follower.events if event.kind == "#commit" and event.did == client.did]
    assert [commit["rev"] for commit in commits] == model.revs, "not exactly one event per write, in order"
    data = None
    for commit in commits:
        head = judge.check_commit_event(commit, key)
        assert data is None or commit["prevData"] == data
        data = head["data"]
    assert judge.text(data) == repository.data
    check_reads(client, model, repository, key)


def check_reads(client, model, repository, key):
    """Single reads and proofs agree with the export."""
    for path in sorted(repository.entries)[::17]:
        collection, rkey = path.split("/")
        read = client.get("com.atproto.repo.getRecord", repo=client.did, collection=collection, rkey=rkey).ok()
        assert read["cid"] == repository.entries[path]
        assert read["value"] == model.records[path]
        proof = client.get("com.atproto.sync.getRecord", did=client.did, collection=collection, rkey=rkey)
        assert judge.check_proof(proof.content, client.did, key, path) == repository.records[path]
    absent = client.get("com.atproto.sync.getRecord", did=client.did, collection="com.example.note", rkey="absent")
    assert judge.check_proof(absent.content, client.did, key, "com.example.note/absent") is None


def test_export_since_a_revision(server):
    client = server.account()
    for index in range(30):
        client.create("com.example.note", {"$type": "com.example.note", "index": index}).ok()
    before = client.head()
    _, old_blocks = judge.read_car(client.car())
    for index in range(5):
        client.create("com.example.note", {"$type": "com.example.note", "index": 100 + index}).ok()
    roots, new_blocks = judge.read_car(client.car(since=before["rev"]))
    assert judge.text(roots[0]) == client.head()["cid"]
    _, whole = judge.read_car(client.car())
    assert dict(whole).items() >= dict(new_blocks).items()
    assert set(dict(whole)) <= set(dict(old_blocks)) | set(dict(new_blocks)), "the difference lacks blocks"
    assert len(new_blocks) < len(whole), "the difference is the whole"


def test_blocks_by_name(server):
    client = server.account()
    client.create("com.example.note", {"$type": "com.example.note"}).ok()
    _, blocks = judge.read_car(client.car())
    wanted = [judge.text(cid) for cid, _ in blocks][:3]
    _, got = judge.read_car(client.get("com.atproto.sync.getBlocks", did=client.did, cids=wanted).content)
    assert dict(got) == dict(blocks[:3])
    missing = "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454"
    assert client.get("com.atproto.sync.getBlocks", did=client.did, cids=[missing]).error == "BlockNotFound"


def test_a_new_repository_is_empty_and_signed(server):
    client = server.account()
    key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
    repository = judge.check_repository(client.car(), client.did, key)
    assert set(repository.entries) <= {"app.bsky.actor.profile/self"}
    if not repository.entries:
        assert repository.data == "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"
