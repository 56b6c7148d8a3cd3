"""Blobs in an S3 bucket: what `KITH_BLOBS_URL=s3:…` changes, which for clients is nothing."""

import os
import subprocess
import time

import pytest
import requests

import bucket
import kith
from test_blobs import GET, PNG, cids, keep, upload


@pytest.fixture(scope="module")
def store():
    running = bucket.Bucket().start()
    yield running
    running.stop()


@pytest.fixture
def bucket_server(make_server, store):
    return make_server(**store.settings)


def test_from_upload_to_deletion_across_a_restart(bucket_server, store):
    server = bucket_server
    account = server.account()
    data = os.urandom(9_000_000)
    before = set(store.keys())
    blob = upload(account, data).ok()["blob"]
    small = upload(account, PNG, "image/png").ok()["blob"]
    cid = blob["ref"]["$link"]
    keep(account, blob, "a")
    keep(account, small, "b")
    made = [key for key in store.keys() if key not in before]
    assert len(made) == 2 and all(key.startswith("kith/stored/") for key in made), made
    assert not list((server.folder / "tmp").iterdir()), "uploads leave nothing on this machine"
    assert not (server.folder / "blobs").exists()

    def check():
        assert account.get(GET, did=account.did, cid=cid).content == data
        part = account.get(GET, did=account.did, cid=cid, headers={"Range": "bytes=8388600-8388619"})
        assert part.status == 206 and part.content == data[8388600:8388620]
        assert part.headers["Content-Range"] == f"bytes 8388600-8388619/{len(data)}"
        assert account.get(GET, did=account.did, cid=cid, headers={"Range": f"bytes={len(data)}-"}).status == 416
        head = account.raw("HEAD", f"/xrpc/{GET}?did={account.did}&cid={cid}")
        assert head.status == 200 and int(head.headers["Content-Length"]) == len(data)

    check()
    server.stop()
    server.start()
    check()
    server.kill()
    server.start()
    check()
    account.delete("com.example.note", "a").ok()
    assert account.get(GET, did=account.did, cid=cid).error == "BlobNotFound"
    assert cids(account) == [small["ref"]["$link"]]
    # What is deleted goes at the next sweep, which comes with the start.
    server.stop()
    server.start()
    limit = time.monotonic() + 30
    while len([key for key in store.keys() if key not in before]) > 1:
        assert time.monotonic() < limit, store.keys()
        time.sleep(0.05)


def test_a_forged_object_is_never_given_whole(bucket_server, store):
    account = bucket_server.account()
    data = os.urandom(300_000)
    blob = upload(account, data).ok()["blob"]
    keep(account, blob)
    cid = blob["ref"]["$link"]
    key = next(key for key in store.keys() if cid in key)
    store.put(key, bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        account.get(GET, did=account.did, cid=cid)
    store.put(key, data[:-1])
    answer = account.get(GET, did=account.did, cid=cid)
    assert answer.status == 503 and answer.error == "ServiceUnavailable" and "Retry-After" in answer.headers
    store.put(key, data)
    assert account.get(GET, did=account.did, cid=cid).content == data


def test_a_bucket_that_is_away_is_a_503(make_server):
    own = bucket.Bucket().start()
    server = make_server(**own.settings)
    account = server.account()
    blob = upload(account, b"some words").ok()["blob"]
    keep(account, blob)
    own.stop()
    answer = account.get(GET, did=account.did, cid=blob["ref"]["$link"])
    assert answer.status == 503 and answer.error == "ServiceUnavailable" and "Retry-After" in answer.headers
    assert upload(account, b"other words").status == 503
    # All else goes on.
    account.create("app.bsky.feed.post", kith.post_record()).ok()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"KITH_BLOBS_URL": "s3://not-there-at-all?endpoint={endpoint}"}, "no such bucket"),
        ({"KITH_BLOBS_URL": "s3://kith-test?endpoint=http://127.0.0.1:9"}, "can't be reached"),
        ({"KITH_BLOBS_SECRET_KEY": ""}, "KITH_BLOBS_SECRET_KEY"),
        ({"KITH_BLOBS_URL": "s3://testing:testing-secret@kith-test"}, "KITH_BLOBS_URL"),
    ],
)
def test_mistakes_are_told_at_start(make_server, store, changes, said):
    settings = {**store.settings, **{key: value.format(endpoint=store.endpoint) for key, value in changes.items()}}
    server = make_server(start=False, **settings)
    command = [str(kith.BINARY), "serve", "--data", str(server.folder), "--port", str(server.port)]
    done = subprocess.run(command, env=server.environment, capture_output=True, text=True, timeout=60, check=False)
    output = done.stdout + done.stderr
    assert done.returncode != 0 and said in output, output
    assert "testing-secret" not in output


def test_redirects_where_that_is_safe(make_server, store):
    server = make_server(KITH_BLOBS_REDIRECT="true", **store.settings)
    account = server.account()
    image = upload(account, PNG, "image/png").ok()["blob"]
    page = upload(account, b"<script>alert(1)</script>", "text/html").ok()["blob"]
    drawing = upload(account, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml").ok()["blob"]
    for name, blob in (("a", image), ("b", page), ("c", drawing)):
        keep(account, blob, name)
    anonymous = server.anonymous()

    def get(client, blob, method="GET"):
        return client.raw(method, f"/xrpc/{GET}?did={account.did}&cid={blob['ref']['$link']}")

    answer = get(anonymous, image)
    assert answer.status == 307 and answer.headers["Cache-Control"] == "no-store"
    there = requests.get(answer.headers["Location"], timeout=10)
    assert there.content == PNG
    assert there.headers["Content-Type"] == "image/png"
    assert there.headers["Content-Disposition"].startswith("attachment")
    # Documents keep their policy, sessions their token, and HEAD was not signed for.
    assert get(anonymous, page).status == 200
    assert get(anonymous, drawing).status == 200
    assert get(account, image).status == 200
    assert get(anonymous, image, "HEAD").status == 200
