"""The judge itself: it accepts what is right and refuses what isn't, without any server."""

import base64
import json
import random

import pytest
from atmst.blockstore import MemoryBlockStore
from atmst.mst.node_store import NodeStore
from atmst.mst.node_wrangler import NodeWrangler
from cbrrr import CID, encode_dag_cbor

import judge
import keys
import kith

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
KEY = keys.Key()


def some_records(count=60):
    return {
        f"com.example.record/{keys.tid(1_700_000_000_000_000 + index * 7919)}": {
            "$type": "com.example.record",
            "index": index,
        }
        for index in range(count)
    }


def reordered(car):
    """The same repository with the commit first, as the judge asks for it."""
    roots, blocks = judge.read_car(car)
    return judge.write_car(roots, sorted(blocks, key=lambda pair: pair[0] != roots[0]))


def test_accepts_a_repository():
    records = some_records()
    repository = judge.check_repository(reordered(keys.repository(DID, KEY, records)), DID, KEY.public)
    assert repository.records == records


def test_refuses_another_key_and_another_did():
    car = keys.repository(DID, KEY, some_records(3))
    with pytest.raises(judge.Verdict, match="verify"):
        judge.check_repository(car, DID, keys.Key().public)
    with pytest.raises(judge.Verdict, match="commit is of"):
        judge.check_repository(car, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", KEY.public)


def test_refuses_every_missing_block():
    roots, blocks = judge.read_car(keys.repository(DID, KEY, some_records(20)))
    for missing in range(1, len(blocks)):
        car = judge.write_car(roots, [pair for index, pair in enumerate(blocks) if index != missing])
        with pytest.raises(judge.Verdict, match="missing"):
            judge.check_repository(car, DID, KEY.public)


def test_refuses_every_flipped_byte_of_a_block():
    car = keys.repository(DID, KEY, some_records(2))
    for position in range(60, len(car), 7):
        damaged = bytearray(car)
        damaged[position] ^= 1
        with pytest.raises((judge.Verdict, Exception)):
            judge.check_repository(bytes(damaged), DID, KEY.public)


def test_refuses_a_superfluous_block():
    block = encode_dag_cbor({"nobody": "refers to me"})
    car = keys.repository(DID, KEY, some_records(2), extra_blocks=[(CID.cidv1_dag_cbor_sha256_32_from(block), block)])
    with pytest.raises(judge.Verdict, match="nothing refers to"):
        judge.check_repository(car, DID, KEY.public)


def test_refuses_a_tree_of_another_shape():
    entries = {path: CID.cidv1_dag_cbor_sha256_32_from(b"x") for path in some_records(40)}
    assert judge.tree_root(entries) == judge.tree_root(dict(reversed(entries.items())))
    path = next(iter(entries))
    assert judge.tree_root(entries) != judge.tree_root({**entries, path + "x": entries[path]})


def test_reads_a_real_repository():
    path = kith.FIXTURES / "atproto" / "car" / "valid_repo.car"
    if not path.exists():
        pytest.skip("no archives beside this clone")
    roots, listed = judge.read_car(path.read_bytes())
    blocks = dict(listed)
    commit = judge.canonical(blocks[roots[0]])
    entries, _ = judge.walk(blocks, commit["data"])
    assert judge.tree_root(entries) == commit["data"]


def test_tokens_have_three_parts():
    parts = keys.service_token(KEY, DID, "did:web:localhost", "com.atproto.repo.uploadBlob").split(".")
    assert len(parts) == 3
    assert json.loads(base64.urlsafe_b64decode(parts[0] + "==")) == {"typ": "JWT", "alg": "ES256K"}


class Recorder(MemoryBlockStore):
    """A block store that notes what is read."""

    def __init__(self):
        super().__init__({})
        self.read = set()

    def get_block(self, key):
        self.read.add(key)
        return super().get_block(key)


def commit_event(dice, count):
    """A #commit event of `count` random operations on a random tree, with exactly the blocks that its proof needs."""
    blocks = Recorder()
    wrangler = NodeWrangler(NodeStore(blocks))

    def record(number):
        block = encode_dag_cbor({"number": number})
        return CID.cidv1_dag_cbor_sha256_32_from(block), block

    before, root = {}, wrangler.ns.get_node(None).cid
    for index in range(80):
        before[f"com.example.note/{dice.randrange(10**6)}"] = record(index)[0]
    for path, cid in before.items():
        root = wrangler.put_record(root, path, cid)
    prev_data, ops, records = root, [], []
    for index in range(count):
        action = dice.choice(["create", "update", "delete"])
        cid, block = record(1000 + index)
        if action == "create":
            path, prev = f"com.example.note/{dice.randrange(10**6)}", None
            if path in before:
                continue
        else:
            path = dice.choice(sorted(before))
            prev = before.pop(path)
        ops.append({"action": action, "path": path, "cid": None if action == "delete" else cid})
        if prev is not None:
            ops[-1]["prev"] = prev
        if action == "delete":
            root = wrangler.del_record(root, path)
        else:
            root = wrangler.put_record(root, path, cid)
            records.append((cid, block))
    fresh = NodeWrangler(NodeStore(blocks))
    blocks.read.clear()
    undone = root
    for op in reversed(ops):
        judge.lookup(fresh.ns, root, op["path"])
        undone = (
            fresh.del_record(undone, op["path"])
            if op["action"] == "create"
            else fresh.put_record(undone, op["path"], op["prev"])
        )
    assert undone == prev_data
    rev = keys.tid()
    commit = keys.signed_commit(DID, KEY, root, rev)
    proof = [(CID(key), MemoryBlockStore.get_block(blocks, key)) for key in sorted(blocks.read | {bytes(root)})]
    return {
        "repo": DID,
        "commit": commit[0],
        "rev": rev,
        "since": keys.tid(1),
        "rebase": False,
        "tooBig": False,
        "blobs": [],
        "ops": ops,
        "prevData": prev_data,
        "blocks": judge.write_car([commit[0]], [commit, *proof, *records]),
    }


@pytest.mark.parametrize("seed", range(30))
def test_inversion(seed):
    dice = random.Random(seed)
    event = commit_event(dice, dice.choice([1, 1, 1, 2, 7]))
    judge.check_commit_event(event, KEY.public)
    for op in event["ops"]:
        if "prev" in op:
            right, op["prev"] = op["prev"], event["commit"]
            with pytest.raises(judge.Verdict):
                judge.check_commit_event(event, KEY.public)
            op["prev"] = right
    with pytest.raises(judge.Verdict):
        judge.check_commit_event({**event, "prevData": event["commit"]}, KEY.public)
    with pytest.raises(judge.Verdict):
        judge.check_commit_event({**event, "ops": event["ops"][1:] + event["ops"][:1] * 2}, KEY.public)


def test_an_insufficient_proof_is_refused():
    refused = 0
    for seed in range(20):
        event = commit_event(random.Random(seed), 1)
        roots, blocks = judge.read_car(event["blocks"])
        for missing in range(len(blocks)):
            fewer = [pair for index, pair in enumerate(blocks) if index != missing]
            with pytest.raises((judge.Verdict, KeyError)):
                judge.check_commit_event({**event, "blocks": judge.write_car(roots, fewer)}, KEY.public)
            refused += 1
    assert refused > 60
