"""Repositories that come from elsewhere: whole ones, old ones, damaged ones; and moving in."""

import itertools
import random

import pytest
from cbrrr import CID, decode_dag_cbor, encode_dag_cbor

import firehose
import judge
import keys
import kith

CAR = {"Content-Type": "application/vnd.ipld.car"}
ARCHIVES = kith.FIXTURES / "atproto" / "car"


def archive(name):
    path = ARCHIVES / name
    if not path.exists():
        pytest.skip("no archives beside this clone")
    return path.read_bytes()


def move_in(server, name=None):
    """A person from elsewhere with an account here that is not active yet: (newcomer, session)."""
    name = name or kith.unique("move")
    newcomer = keys.Newcomer(server, name + server.domain())
    client = server.anonymous()
    host = client.get("com.atproto.server.describeServer").ok()["did"]
    token = newcomer.token("com.atproto.server.createAccount", host)
    session = client.post(
        "com.atproto.server.createAccount",
        {"handle": newcomer.handle, "did": newcomer.did, "email": f"{name}@mail.test", "password": kith.PASSWORD},
        headers={"Authorization": f"Bearer {token}"},
    ).ok()
    return newcomer, kith.adopt(client, session, kith.PASSWORD)


def bring(client, car):
    return client.post("com.atproto.repo.importRepo", data=car, headers=CAR)


def notes(count):
    return {
        f"com.example.note/{keys.tid(1_700_000_000_000_000 + index * 7919)}": {
            "$type": "com.example.note",
            "index": index,
        }
        for index in range(count)
    }


def recommended(client):
    return client.get("com.atproto.identity.getRecommendedDidCredentials").ok()


def hand_over(server, newcomer, client):
    """The identity's document names this server from now on."""
    wanted = recommended(client)
    operation = {
        "type": "plc_operation",
        "rotationKeys": [newcomer.rotation.did_key, *wanted["rotationKeys"]],
        "verificationMethods": wanted["verificationMethods"],
        "alsoKnownAs": wanted["alsoKnownAs"],
        "services": wanted["services"],
        "prev": keys.operation_cid(newcomer.operation),
    }
    signed = keys.sign_operation(operation, newcomer.rotation)
    assert server.anonymous().raw("POST", f"/plc/{newcomer.did}", json=signed).status == 200


def test_moving_in(server):
    """The whole way that every migration tool goes."""
    newcomer, client = move_in(server)
    records = notes(300)
    blob = CID.cidv1_raw_sha256_32_from(b"a picture")
    records["com.example.note/picture"] = {
        "$type": "com.example.note",
        "file": {"$type": "blob", "ref": blob, "mimeType": "image/png", "size": 9},
    }
    with firehose.Follower(server) as follower:
        bring(client, keys.repository(newcomer.did, newcomer.signing, records)).ok()
        missing = client.get("com.atproto.repo.listMissingBlobs").ok()["blobs"]
        assert [one["cid"] for one in missing] == [blob.encode()]
        assert missing[0]["recordUri"] == f"at://{newcomer.did}/com.example.note/picture"
        client.post("com.atproto.repo.uploadBlob", data=b"a picture", headers={"Content-Type": "image/png"}).ok()
        assert client.get("com.atproto.repo.listMissingBlobs").ok()["blobs"] == []

        early = client.post("com.atproto.server.activateAccount")
        assert early.status == 400, "activated while the identity names another server"
        hand_over(server, newcomer, client)
        assert not [event for event in follower.events if event.did == newcomer.did], "an event before activation"
        client.post("com.atproto.server.activateAccount").ok()
        rev = client.create("com.example.note", {"$type": "com.example.note"}).ok()["commit"]["rev"]
        follower.wait_rev(newcomer.did, rev)
        events = [event for event in follower.events if event.did == newcomer.did]
    assert [event.kind for event in events] == ["#account", "#identity", "#sync", "#commit"]
    key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{newcomer.did}").ok())
    roots, blocks = judge.read_car(events[2].body["blocks"])
    commit = judge.check_commit(dict(blocks)[roots[0]], newcomer.did, key)
    assert commit["rev"] == events[2].body["rev"]
    assert judge.check_commit_event(events[3].body, key)["rev"] == rev
    assert events[3].body["prevData"] == commit["data"]
    repository = judge.check_repository(client.car(), newcomer.did, key)
    assert {path: record for path, record in repository.records.items() if path in records} == records


def test_progress_of_moving_in(server):
    """What migration tools poll."""
    newcomer, client = move_in(server)

    def status():
        return client.get("com.atproto.server.checkAccountStatus").ok()

    def blobs():
        return status()["expectedBlobs"], status()["importedBlobs"]

    before = status()
    assert before["activated"] is False and before["validDid"] is False
    assert before["repoBlocks"] == 2 and before["indexedRecords"] == 0 and blobs() == (0, 0)
    records = notes(30)
    for number in range(3):
        blob = {"$type": "blob", "ref": CID.cidv1_raw_sha256_32_from(b"a picture"), "mimeType": "image/png", "size": 9}
        records[f"com.example.note/picture{number}"] = {"$type": "com.example.note", "file": blob}
    bring(client, keys.repository(newcomer.did, newcomer.signing, records)).ok()
    assert status()["indexedRecords"] == 33 and blobs() == (1, 0)
    client.post("com.atproto.repo.uploadBlob", data=b"a picture", headers={"Content-Type": "image/png"}).ok()
    assert blobs() == (1, 1)
    hand_over(server, newcomer, client)
    assert status()["validDid"] is True
    client.post("com.atproto.server.activateAccount").ok()
    after = status()
    assert after["activated"] is True and after["repoCommit"] == client.head()["cid"]
    assert after["repoRev"] == client.head()["rev"]
    for number in range(3):
        client.post(
            "com.atproto.repo.deleteRecord",
            {"repo": client.did, "collection": "com.example.note", "rkey": f"picture{number}"},
        ).ok()
    assert status()["indexedRecords"] == 30 and blobs() == (0, 0)


def test_import_keeps_the_data_root(server):
    newcomer, client = move_in(server)
    car = keys.repository(newcomer.did, newcomer.signing, notes(100))
    roots, blocks = judge.read_car(car)
    root = decode_dag_cbor(dict(blocks)[roots[0]])["data"]
    bring(client, car).ok()
    assert judge.check_repository(client.car(), newcomer.did, None).commit["data"] == root
    bring(client, keys.repository(newcomer.did, newcomer.signing, notes(40))).ok()
    assert len(judge.check_repository(client.car(), newcomer.did, None).entries) == 40


def test_blocks_in_any_order(server):
    newcomer, client = move_in(server)
    roots, blocks = judge.read_car(keys.repository(newcomer.did, newcomer.signing, notes(50)))
    for seed in range(3):
        shuffled = list(blocks)
        random.Random(seed).shuffle(shuffled)
        bring(client, judge.write_car(roots, shuffled)).ok()
    superfluous = encode_dag_cbor({"nobody": "refers to me"})
    extra = (CID.cidv1_dag_cbor_sha256_32_from(superfluous), superfluous)
    bring(client, judge.write_car(roots, [extra, *blocks, extra])).ok()
    assert len(judge.check_repository(client.car(), newcomer.did, None).entries) == 50


def adopted(car, newcomer):
    """The archive's tree and records under a commit of the newcomer, as their last server would have signed it."""
    roots, blocks = judge.read_car(car)
    commit = decode_dag_cbor(dict(blocks)[roots[0]])
    fresh = keys.signed_commit(newcomer.did, newcomer.signing, commit["data"], keys.tid())
    return commit["data"], judge.write_car([fresh[0]], [fresh, *[pair for pair in blocks if pair[0] != roots[0]]])


def test_a_real_repository(server):
    newcomer, client = move_in(server)
    root, car = adopted(archive("valid_repo.car"), newcomer)
    bring(client, car).ok()
    assert judge.check_repository(client.car(), newcomer.did, None).commit["data"] == root


@pytest.mark.parametrize("name", ["greenground.repo.car", "paul_staging.repo.car"])
def test_older_repositories(server, name):
    """Taken up under a commit of our own, or refused with the reason."""
    newcomer, client = move_in(server)
    before = client.head()
    for car in (archive(name), adopted(archive(name), newcomer)[1]):
        answer = bring(client, car)
        if answer.status == 200:
            judge.check_repository(client.car(), newcomer.did, None)
        else:
            assert answer.status == 400 and answer.message, str(answer)
            print(name, answer.error, answer.message)
            assert client.head() == before


@pytest.mark.parametrize("name", ["valid_repo.car", "greenground.repo.car", "paul_staging.repo.car"])
def test_another_person_s_archive(server, name):
    _, client = move_in(server)
    before = client.head()
    answer = bring(client, archive(name))
    assert answer.status == 400 and answer.message, str(answer)
    assert client.head() == before


@pytest.fixture(scope="module")
def damaged(server):
    """(session, archive, head) for the damage below; the archive itself is sound."""
    newcomer, client = move_in(server)
    car = keys.repository(newcomer.did, newcomer.signing, notes(30))
    return newcomer, client, car


def places(car):
    """Byte positions by what lies there: header, length, hash, commit, node, record."""
    roots, blocks = judge.read_car(car)
    length, at = judge._varint(car, 0)
    found = {"header length": [0], "header": list(range(at, at + length))}
    at += length
    for cid, block in blocks:
        size, start = judge._varint(car, at)
        value = decode_dag_cbor(block)
        kind = "commit" if cid == roots[0] else "node" if set(value) == {"e", "l"} else "record"
        found.setdefault("length", []).extend(range(at, start))
        found.setdefault("hash", []).extend(range(start, start + 36))
        found.setdefault(kind, []).extend(range(start + 36, start + size))
        at = start + size
    return found


@pytest.mark.parametrize("kind", ["header length", "header", "length", "hash", "commit", "node", "record"])
def test_damage_changes_nothing(damaged, kind):
    _, client, car = damaged
    before = client.head()
    positions = places(car)[kind]
    for position in positions[:: max(1, len(positions) // 40)]:
        for flip in (0x01, 0x80, 0xFF):
            broken = bytearray(car)
            broken[position] ^= flip
            answer = bring(client, bytes(broken))
            assert 400 <= answer.status < 500 and answer.error and answer.message, f"{kind} {position}: {answer}"
    assert client.head() == before


def test_truncation_changes_nothing(damaged):
    _, client, car = damaged
    before = client.head()
    for length in itertools.chain(range(0, 120, 3), range(120, len(car), max(1, len(car) // 60))):
        answer = bring(client, car[:length])
        assert 400 <= answer.status < 500 and answer.error and answer.message, f"{length} bytes: {answer}"
    assert client.head() == before


def rebuilt(newcomer, blocks, data, **fields):
    unsigned = {"did": newcomer.did, "version": 3, "data": data, "rev": keys.tid(), "prev": None, **fields}
    block = encode_dag_cbor({**unsigned, "sig": newcomer.signing.sign(encode_dag_cbor(unsigned))})
    cid = CID.cidv1_dag_cbor_sha256_32_from(block)
    return judge.write_car([cid], [(cid, block), *blocks])


def node(entries, left=None):
    block = encode_dag_cbor({"e": entries, "l": left})
    return CID.cidv1_dag_cbor_sha256_32_from(block), block


def test_sound_hashes_around_an_unsound_repository(damaged):
    """Every block is what its CID says, and still it is no repository."""
    newcomer, client, car = damaged
    before = client.head()
    roots, listed = judge.read_car(car)
    blocks = [pair for pair in listed if pair[0] != roots[0]]
    data = decode_dag_cbor(dict(listed)[roots[0]])["data"]
    record = encode_dag_cbor({"$type": "com.example.note"})
    cid = CID.cidv1_dag_cbor_sha256_32_from(record)

    def entry(key, prefix=0):
        return {"k": key.encode(), "p": prefix, "t": None, "v": cid}

    def tree(*nodes):
        return rebuilt(newcomer, [*nodes, (cid, record)], nodes[0][0])

    looped = node([], left=data)
    floating = (
        bytes.fromhex("a26178fb3ff8000000000000") + encode_dag_cbor("$type") + encode_dag_cbor("com.example.note")
    )
    cases = {
        "no blocks": judge.write_car(roots, []),
        "no root": judge.write_car([], listed),
        "two roots": judge.write_car([roots[0], data], listed),
        "root is absent": judge.write_car([cid], listed),
        "root is a node": judge.write_car([data], listed),
        "another's name": rebuilt(newcomer, blocks, data, did="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"),
        "version 9": rebuilt(newcomer, blocks, data, version=9),
        "data is absent": rebuilt(newcomer, blocks, cid),
        "rev is no TID": rebuilt(newcomer, blocks, data, rev="now"),
        "keys out of order": tree(node([entry("com.example.note/b"), entry("com.example.note/a")])),
        "a key twice": tree(node([entry("com.example.note/b"), entry("com.example.note/b")])),
        "a key without a slash": tree(node([entry("nonsense")])),
        "a key with two slashes": tree(node([entry("com.example.note/a/b")])),
        "an empty key": tree(node([entry("")])),
        "a prefix from nowhere": tree(node([entry("com.example.note/a", 5)])),
        "a prefix too long": tree(node([entry("com.example.note/a"), entry("b", 4000)])),
        "a negative prefix": tree(node([entry("com.example.note/a"), entry("b", -1)])),
        "an empty node below": tree(node([], left=node([])[0]), node([])),
        "wrapped without need": rebuilt(newcomer, [looped, *blocks], looped[0]),
        "strange fields": rebuilt(newcomer, [(cid, record)], cid),
        "records missing": rebuilt(newcomer, [pair for pair in blocks if b"index" not in pair[1]], data),
        "a float": keys_with_raw_record(newcomer, floating),
        "an indefinite map": keys_with_raw_record(newcomer, b"\xbf\xff"),
        "a long integer head": keys_with_raw_record(newcomer, b"\xa1\x61x\x18\x01"),
        "keys doubled": keys_with_raw_record(newcomer, b"\xa2\x61x\x01\x61x\x02"),
        "keys out of order in a record": keys_with_raw_record(newcomer, b"\xa2\x61y\x01\x61x\x02"),
        "trailing bytes": keys_with_raw_record(newcomer, b"\xa0\x00"),
        "a strange tag": keys_with_raw_record(newcomer, b"\xa1\x61x\xc0\x60"),
        "deep": keys_with_raw_record(newcomer, b"\xa1\x61x" + b"\x81" * 10_000 + b"\x00"),
        "undefined": keys_with_raw_record(newcomer, b"\xa1\x61x\xf7"),
        "no UTF-8": keys_with_raw_record(newcomer, b"\xa1\x61x\x61\xff"),
        "not an object": keys_with_raw_record(newcomer, b"\x01"),
    }
    for name, archive_bytes in cases.items():
        answer = bring(client, archive_bytes)
        assert answer.status == 400 and answer.error and answer.message, f"{name}: {answer}"
    assert client.head() == before


def keys_with_raw_record(newcomer, block):
    """A repository whose single record has exactly these bytes."""
    cid = CID.cidv1_dag_cbor_sha256_32_from(block)
    tree = node([{"k": b"com.example.note/a", "p": 0, "t": None, "v": cid}])
    return rebuilt(newcomer, [tree, (cid, block)], tree[0])


def test_types_and_sizes(damaged):
    _, client, car = damaged
    before = client.head()
    assert client.post("com.atproto.repo.importRepo", data=car, headers={"Content-Type": "text/plain"}).status in (
        400,
        415,
    )
    assert client.post("com.atproto.repo.importRepo", {"x": 1}).status in (400, 415)
    assert client.head() == before


def test_an_active_account_is_not_overwritten(server):
    """What people have said here is not replaced by an archive by accident."""
    client = server.account()
    client.create("com.example.note", {"$type": "com.example.note"}).ok()
    before = client.head()
    answer = bring(client, client.car())
    assert answer.status == 400 or client.head()["rev"] >= before["rev"]
    if answer.status != 200:
        assert client.head() == before


def test_an_older_archive_takes_a_deactivated_account(server):
    client = server.account()
    older = client.car()
    client.create("com.example.note", {"$type": "com.example.note"}).ok()
    before = client.head()
    answer = bring(client, older)
    assert answer.status == 400 and answer.error == "InvalidRequest" and "older" in answer.message, str(answer)
    assert client.head() == before
    client.post("com.atproto.server.deactivateAccount", {}).ok()
    bring(client, older).ok()
    assert client.head()["rev"] > before["rev"]


def test_moving_in_needs_proof(server):
    """Nobody gets an account for a name that isn't theirs."""
    name = kith.unique("thief")
    newcomer = keys.Newcomer(server, name + server.domain())
    host = server.anonymous().get("com.atproto.server.describeServer").ok()["did"]
    method = "com.atproto.server.createAccount"
    body = {"handle": newcomer.handle, "did": newcomer.did, "email": f"{name}@mail.test", "password": kith.PASSWORD}
    for token in (
        None,
        keys.service_token(keys.Key(), newcomer.did, host, method),
        newcomer.token(method, "did:web:elsewhere.example"),
        newcomer.token("com.atproto.repo.uploadBlob", host),
        newcomer.token(method, host, exp=1000),
        newcomer.token(method, host, lxm=None),
        keys.Newcomer(server, "other.example").token(method, host),
    ):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = server.anonymous().post(method, body, headers=headers)
        assert answer.status in (400, 401, 403) and answer.error, str(answer)


def test_a_large_repository(server):
    newcomer, client = move_in(server)
    records = notes(20_000)
    bring(client, keys.repository(newcomer.did, newcomer.signing, records)).ok()
    assert set(judge.check_repository(client.car(), newcomer.did, None, rebuild=False).entries) == set(records)
