"""The judge itself: it accepts what is right and refuses what isn't, without any server."""

import base64
import json

import pytest
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
