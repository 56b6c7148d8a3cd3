"""Blobs: temporary until a record refers to them, permanent while one does."""

import gzip
import hashlib
import os

import pytest
from cbrrr import CID

import kith

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e3660000"
    "000049454e44ae426082"
)
GET = "com.atproto.sync.getBlob"


def upload(client, data, mime="application/octet-stream", **headers):
    return client.post("com.atproto.repo.uploadBlob", data=data, headers={"Content-Type": mime, **headers})


def keep(client, blob, rkey=None):
    record = {"$type": "com.example.note", "file": blob}
    if rkey:
        return client.put("com.example.note", rkey, record).ok()
    return client.create("com.example.note", record).ok()


def cids(client):
    return client.get("com.atproto.sync.listBlobs", did=client.did).ok()["cids"]


def test_from_upload_to_deletion(account):
    data = os.urandom(70_000)
    blob = upload(account, data).ok()["blob"]
    cid = blob["ref"]["$link"]
    assert cid == CID.cidv1_raw_sha256_32_from(data).encode()
    assert (blob["$type"], blob["size"], blob["mimeType"]) == ("blob", len(data), "application/octet-stream")
    assert account.get(GET, did=account.did, cid=cid).error == "BlobNotFound"
    assert cids(account) == []
    uri = keep(account, blob)["uri"]
    answer = account.get(GET, did=account.did, cid=cid)
    assert answer.status == 200 and answer.content == data
    assert cids(account) == [cid]
    account.delete("com.example.note", uri.split("/")[-1]).ok()
    assert account.get(GET, did=account.did, cid=cid).error == "BlobNotFound"
    assert cids(account) == []


def test_headers(account):
    blob = upload(account, PNG, "image/png").ok()["blob"]
    keep(account, blob)
    cid = blob["ref"]["$link"]
    answer = account.get(GET, did=account.did, cid=cid)
    assert answer.headers["Content-Type"] == "image/png"
    assert int(answer.headers["Content-Length"]) == len(PNG)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert cid in answer.headers["Content-Disposition"] and "attachment" in answer.headers["Content-Disposition"]
    tag = answer.headers["ETag"]
    assert not tag.startswith("W/")
    assert account.get(GET, did=account.did, cid=cid, headers={"If-None-Match": tag}).status == 304


def test_ranges(account):
    data = bytes(range(256)) * 40
    blob = upload(account, data).ok()["blob"]
    keep(account, blob)
    cid = blob["ref"]["$link"]

    def part(value):
        return account.get(GET, did=account.did, cid=cid, headers={"Range": value})

    for value, expected in (
        ("bytes=0-9", data[:10]),
        ("bytes=100-", data[100:]),
        ("bytes=-5", data[-5:]),
        ("bytes=10000-99999999", data[10000:]),
    ):
        answer = part(value)
        assert answer.status == 206 and answer.content == expected, str(answer)[:200]
        assert answer.headers["Content-Range"].endswith(f"/{len(data)}")
    beyond = part(f"bytes={len(data)}-")
    assert beyond.status == 416 and beyond.error == "RangeNotSatisfiable" and beyond.json["message"]
    assert beyond.headers["Content-Range"] == f"bytes */{len(data)}"
    assert part("bytes=5-1").status in (200, 416)
    assert part("lines=1-2").status == 200


def test_replaced_and_shared(account):
    one, two = (upload(account, os.urandom(100)).ok()["blob"] for _ in range(2))
    keep(account, one, "a")
    keep(account, one, "b")
    keep(account, two, "a")
    assert set(cids(account)) == {one["ref"]["$link"], two["ref"]["$link"]}
    keep(account, two, "b")
    assert cids(account) == [two["ref"]["$link"]]


def test_kept_when_used_again_in_the_same_commit(account):
    blob = upload(account, os.urandom(100)).ok()["blob"]
    keep(account, blob, "a")
    kind = "com.atproto.repo.applyWrites#"
    account.post(
        "com.atproto.repo.applyWrites",
        repo=account.did,
        writes=[
            {"$type": kind + "delete", "collection": "com.example.note", "rkey": "a"},
            {
                "$type": kind + "create",
                "collection": "com.example.note",
                "rkey": "b",
                "value": {"$type": "com.example.note", "file": blob},
            },
        ],
    ).ok()
    assert cids(account) == [blob["ref"]["$link"]]


def test_each_account_has_its_own(server):
    one, two = server.account(), server.account()
    data = os.urandom(1000)
    blob = upload(one, data).ok()["blob"]
    keep(one, blob)
    record = {"$type": "com.example.note", "file": blob}
    refused = two.create("com.example.note", record)
    assert refused.status == 400 and refused.error == "BlobNotFound", str(refused)
    keep(two, upload(two, data).ok()["blob"], "a")
    two.delete("com.example.note", "a").ok()
    assert one.get(GET, did=one.did, cid=blob["ref"]["$link"]).content == data


def post_with(blob):
    return {
        **kith.post_record(),
        "embed": {"$type": "app.bsky.embed.images", "images": [{"image": blob, "alt": "x"}]},
    }


def test_constraints_of_the_schema(account):
    text = upload(account, b"hello there", "text/plain").ok()["blob"]
    wrong = account.create("app.bsky.feed.post", post_with(text))
    assert wrong.status == 400 and wrong.error == "InvalidMimeType", str(wrong)
    absent = {**text, "ref": {"$link": CID.cidv1_raw_sha256_32_from(os.urandom(9)).encode()}, "mimeType": "image/png"}
    missing = account.create("app.bsky.feed.post", post_with(absent))
    assert missing.status == 400 and missing.error == "BlobNotFound", str(missing)
    lied = account.create("app.bsky.feed.post", post_with({**text, "mimeType": "image/png"}))
    assert lied.status == 400 and lied.error == "InvalidMimeType", str(lied)
    image = upload(account, PNG, "image/png").ok()["blob"]
    other_size = account.create("app.bsky.feed.post", post_with({**image, "size": 7}))
    assert other_size.status == 400 and other_size.error == "InvalidSize", str(other_size)
    large = upload(account, PNG + bytes(1_000_000), "image/png").ok()["blob"]
    too_large = account.put("app.bsky.actor.profile", "self", {"avatar": large})
    assert too_large.status == 400 and too_large.error == "InvalidSize", str(too_large)
    free_place = account.create("com.example.note", {"file": {**text, "mimeType": "text/html"}})
    assert free_place.status == 400 and free_place.error == "InvalidMimeType", str(free_place)
    account.create("app.bsky.feed.post", post_with(image)).ok()


def test_images_are_recognised(account):
    assert upload(account, PNG, "text/plain").ok()["blob"]["mimeType"] == "image/png"
    assert upload(account, b"plain words", "text/plain").ok()["blob"]["mimeType"] == "text/plain"


def test_compressed_upload(account):
    data = b"words and words " * 1000
    answer = upload(account, gzip.compress(data), "text/plain", **{"Content-Encoding": "gzip"})
    if answer.status == 415:
        pytest.skip("compressed uploads are refused, and say so")
    blob = answer.ok()["blob"]
    assert blob["size"] == len(data)
    assert blob["ref"]["$link"] == CID.cidv1_raw_sha256_32_from(data).encode()


def test_sizes(server, account):
    limit = server.anonymous().get("com.atproto.server.describeServer").ok().get("blobUploadLimit")
    empty = upload(account, b"")
    assert empty.status in (200, 400), str(empty)
    if limit and limit <= 256 << 20:
        answer = upload(account, bytes(limit + 1))
        assert answer.status == 413 and answer.error == "PayloadTooLarge", str(answer)[:300]


def test_many_pages(account):
    made = set()
    for index in range(12):
        data = hashlib.sha256(str(index).encode()).digest()
        blob = upload(account, data).ok()["blob"]
        keep(account, blob)
        made.add(blob["ref"]["$link"])
    seen, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = account.get("com.atproto.sync.listBlobs", did=account.did, limit=5, **more).ok()
        seen += page["cids"]
        cursor = page.get("cursor")
        if not cursor:
            break
    assert set(seen) == made and len(seen) == len(made)
