"""sync.subscribeRepos: order, replay, cursors, slow readers."""

import socket
import threading
import time

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus

import firehose
import judge
import kith


def note(index, size=0):
    return {"$type": "com.example.note", "index": index, "text": "z" * size}


def test_creation_emits_identity_account_commit_in_order(server):
    with firehose.Follower(server) as follower:
        client = server.account()
        rev = client.create("com.example.note", note(1)).ok()["commit"]["rev"]
        follower.wait_rev(client.did, rev)
        events = [event for event in follower.events if event.did == client.did]
    kinds = [event.kind for event in events]
    assert kinds[:3] == ["#identity", "#account", "#commit"], kinds
    identity, account, first = (event.body for event in events[:3])
    assert identity["handle"] == client.handle
    assert account["active"] is True and account.get("status") is None
    assert first["since"] is None and first["rev"] < rev
    last = events[-1].body
    assert last["since"] == max(e.body["rev"] for e in events if e.kind == "#commit" and e.body["rev"] < rev)
    assert last["blobs"] == [] and [op["action"] for op in last["ops"]] == ["create"]
    assert last["time"].endswith("Z")
    for event in events:
        if event.kind == "#commit":
            judge.check_commit_event(event.body)


def test_replay_is_byte_identical_to_live(server):
    with firehose.Follower(server) as live:
        client = server.account()
        other = server.account()
        for index in range(20):
            client.create("com.example.note", note(index)).ok()
            client.put("com.example.note", "same", note(index)).ok()
            other.create("app.bsky.feed.post", kith.post_record(f"{index}")).ok()
        client.delete("com.example.note", "same").ok()
        rev = other.create("com.example.note", note(99)).ok()["commit"]["rev"]
        live.wait_rev(other.did, rev)
        events = list(live.events)
    last = events[-1].seq
    for start in range(len(events)):
        cursor = events[start].seq
        if start % 7 and start < len(events) - 2:
            continue
        if cursor == last:
            continue
        replayed = firehose.read(server, cursor, lambda event: event.seq == last)
        assert [event.raw for event in replayed] == [event.raw for event in events[start + 1 :]]
    whole = firehose.read(server, 0, lambda event: event.seq == last)
    assert [event.raw for event in whole[-len(events) :]] == [event.raw for event in events]
    firehose.check_order(whole)


def test_replay_joins_live_without_a_seam(server):
    """A reader that begins in the past while writing goes on misses nothing and sees nothing twice."""
    client = server.account()
    stop = threading.Event()
    revs = []

    def write():
        own, index = client.again(), 0
        while not stop.is_set():
            index += 1
            revs.append(own.create("com.example.note", note(index)).ok()["commit"]["rev"])

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    readers = []
    for _ in range(5):
        readers.append(firehose.Follower(server, 0))
        count = len(revs)
        while len(revs) < count + 20:
            time.sleep(0.005)
    stop.set()
    thread.join()
    for reader in readers:
        reader.wait_rev(client.did, revs[-1])
        reader.close()
        firehose.check_order(reader.events)
        assert [e.body["rev"] for e in reader.events if e.kind == "#commit" and e.did == client.did][
            -len(revs) :
        ] == revs
    assert (
        len(
            {
                tuple(event.raw for event in reader.events if event.seq <= readers[0].events[-1].seq)
                for reader in readers
            }
        )
        == 1
    )


def test_without_cursor_only_news(server):
    server.account()
    with firehose.Follower(server) as follower:
        client = server.account()
        rev = client.create("com.example.note", note(1)).ok()["commit"]["rev"]
        follower.wait_rev(client.did, rev)
        assert {event.did for event in follower.events} == {client.did}


def test_no_event_without_a_change(server):
    client = server.account()
    client.put("com.example.note", "same", note(1)).ok()
    with firehose.Follower(server) as follower:
        client.put("com.example.note", "same", note(1)).ok()
        client.delete("com.example.note", "never-there").ok()
        client.create("com.example.note", {"$type": "com.example.other"})
        rev = client.put("com.example.note", "same", note(2)).ok()["commit"]["rev"]
        event = follower.wait_rev(client.did, rev)
        assert [one.seq for one in follower.events] == [event.seq]
        assert [op["action"] for op in event.body["ops"]] == ["update"]


def test_future_cursor(server):
    events, _ = firehose.read_to_close(server, 2**52)
    assert [event.is_error for event in events] == [True]
    assert events[0].body["error"] == "FutureCursor"


@pytest.mark.parametrize("cursor", ["-1", "x", "1.5", "9" * 30, "0x10", "1%00"])
def test_malformed_cursor(server, cursor):
    """Refused before the upgrade, or by an error frame; never served."""
    try:
        events, _ = firehose.read_to_close(server, cursor)
    except Exception as refused:
        response = getattr(refused, "response", None)
        assert response is not None, repr(refused)
        assert response.status_code == 400
        return
    assert events and events[0].is_error and len(events) == 1


def test_empty_cursor_is_none(server):
    """As the reference implementation has it: only news."""
    with firehose.subscribe(server, "") as one:
        client = server.account()
        assert firehose.decode(one.recv(timeout=30)).did == client.did


def test_one_address_does_not_hold_all_places(make_server):
    """A tenth of them, and the next is told 429; who leaves makes room."""
    server = make_server(KITH_RATE_LIMITS="true", KITH_FIREHOSE_SUBSCRIBERS_MAX="20")
    server.account()
    held = [firehose.subscribe(server, 0).__enter__() for _ in range(2)]
    for one in held:
        one.recv(timeout=30)
    with pytest.raises(InvalidStatus) as refused:
        firehose.subscribe(server).__enter__()
    response = refused.value.response
    assert response.status_code == 429 and response.headers["Retry-After"]
    raw_subscription(server, 4096, ("X-Forwarded-For: 203.0.113.7",)).close()
    held.pop().close()
    limit = time.monotonic() + 30
    while True:
        try:
            return firehose.subscribe(server).__enter__().close()
        except InvalidStatus:
            assert time.monotonic() < limit, "a place is never free again"


def test_plain_get_is_not_a_subscription(server):
    answer = server.anonymous().raw("GET", "/xrpc/com.atproto.sync.subscribeRepos")
    assert answer.status in (400, 405, 426) and answer.error


def test_outdated_cursor(make_server):
    """Ten megabytes are kept here; whoever asks for what is older is told so and gets what there is."""
    server = make_server(KITH_FIREHOSE_SIZE_MAX="10000000")
    client = server.account()
    for index in range(400):
        client.create("com.example.note", note(index, 60_000)).ok()
    last = client.head()["rev"]
    limit = time.monotonic() + 120
    while True:
        events = firehose.read(server, 1, lambda event: event.kind == "#commit" and event.body["rev"] == last)
        if events[0].kind == "#info":
            break
        assert time.monotonic() < limit, "old events are never let go"
        time.sleep(0.5)
    assert events[0].body["name"] == "OutdatedCursor"
    assert len(events) < 400
    firehose.check_order(events[1:])
    zero = firehose.read(server, 0, lambda event: event.kind == "#commit" and event.body["rev"] == last)
    shared = [event.raw for event in zero if event.kind != "#info"]
    assert shared == [event.raw for event in events[1:]][-len(shared) :]


def raw_subscription(server, receive_buffer_bytes, headers=()):
    """A WebSocket whose owner reads the upgrade and then nothing more."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    plain.connect(("127.0.0.1", server.port))
    head = (
        "GET /xrpc/com.atproto.sync.subscribeRepos HTTP/1.1",
        f"Host: localhost:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    )
    plain.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += plain.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return plain


def drain(plain, limit_s=60):
    """(what is still in the pipe, whether it ended): reads until the end, or until nothing comes for that long."""
    plain.settimeout(limit_s)
    data = bytearray()
    try:
        while piece := plain.recv(1 << 16):
            data += piece
    except ConnectionResetError:
        pass
    except TimeoutError:
        return bytes(data), False
    return bytes(data), True


def test_readers_that_do_not_read(make_server):
    """They are dropped as ConsumerTooSlow, the server's memory stays bounded, and nobody else waits for them.

    Half of them never read again. The others do, each a little later than the one before, so that some of them come
    back while the server still waits to say why it lets go.
    """
    server = make_server()
    client = server.account()
    client.create("com.example.note", note(0, 60_000)).ok()
    before = peak = server.memory_bytes()
    sleepers = [raw_subscription(server, 4096) for _ in range(40)]
    began, received, threads = time.monotonic(), {}, []

    def come_back(index):
        time.sleep(max(0, began + 17 + index * 0.5 - time.monotonic()))
        received[index] = drain(sleepers[index], limit_s=1)

    for index in range(0, len(sleepers), 2):
        threads.append(threading.Thread(target=come_back, args=(index,), daemon=True))
        threads[-1].start()
    delays, count = [], 0
    with firehose.Follower(server) as follower:
        while time.monotonic() - began < 38:
            count += 1
            rev = client.create("com.example.note", note(count, 60_000)).ok()["commit"]["rev"]
            asked = time.monotonic()
            follower.wait_rev(client.did, rev, limit_s=20)
            delays.append(time.monotonic() - asked)
            follower.events.clear()
            peak = max(peak, server.memory_bytes())
    for thread in threads:
        thread.join()
    print(f"{count} events, memory {before >> 20} → {peak >> 20} MB, worst delay {max(delays) * 1000:.0f} ms")
    assert max(delays) < 5, f"others waited {max(delays):.1f} s"
    # Forty sleepers, tens of megabytes of events: what grows must be far below the product.
    assert peak - before < 150 << 20, f"memory grew by {(peak - before) >> 20} MB"
    for index in range(1, len(sleepers), 2):
        assert drain(sleepers[index])[1], "a reader that never read is still connected"
    told = sum(b"ConsumerTooSlow" in data for data, _ in received.values())
    assert told, "nobody was told ConsumerTooSlow"


def test_many_readers_see_the_same(server):
    client = server.account()
    readers = [firehose.Follower(server) for _ in range(50)]
    for index in range(30):
        rev = client.create("com.example.note", note(index)).ok()["commit"]["rev"]
    for reader in readers:
        reader.wait_rev(client.did, rev)
        reader.close()
    seen = {tuple(event.raw for event in reader.events if event.did == client.did) for reader in readers}
    assert len(seen) == 1 and len(seen.pop()) == 30


def test_readers_that_come_and_go_leave_nothing(server):
    """A thousand short connections: the server neither dies nor keeps them."""
    client = server.account()
    for _ in range(10):
        sockets = [firehose.subscribe(server, 0).__enter__() for _ in range(20)]
        for one in sockets:
            one.recv(timeout=10)
        for one in sockets:
            one.socket.close()
    rev = client.create("com.example.note", note(1)).ok()["commit"]["rev"]
    assert firehose.read_until_rev(server, 0, client.did, rev)


def test_what_a_client_sends_is_no_harm(server):
    """Text, binary, a ping, an oversized frame: answered or refused, and the others go on."""
    with firehose.Follower(server) as follower:
        with firehose.subscribe(server) as one:
            one.send("hello")
            one.send(b"\x00" * 1000)
            assert one.ping().wait(10)
        with firehose.subscribe(server) as big:
            with pytest.raises((ConnectionClosed, TimeoutError, OSError)):
                big.send(b"\x00" * (8 << 20))
                big.send(b"\x00" * (8 << 20))
                big.recv(timeout=10)
        client = server.account()
        rev = client.create("com.example.note", note(1)).ok()["commit"]["rev"]
        follower.wait_rev(client.did, rev)


def test_compressed_stream(server):
    """A consumer that offers permessage-deflate is served, compressed or not."""
    with firehose.subscribe(server, 0, compression="deflate", close_timeout=1) as one:
        assert firehose.decode(one.recv(timeout=10)).seq


def test_deletion_leaves_only_its_notice(server):
    """After an account is deleted, a replay shows that it went and none of what it said."""
    client = server.account()
    client.create("com.example.note", {"$type": "com.example.note", "text": "a secret that must go"}).ok()
    with firehose.Follower(server) as follower:
        if server.admin().post("com.atproto.admin.deleteAccount", did=client.did).status == 501:
            pytest.skip("accounts can't be deleted here")
        gone = follower.wait(lambda event: event.did == client.did and event.kind == "#account")
        assert gone.body["active"] is False and gone.body["status"] == "deleted"
    other = server.account()
    rev = other.create("com.example.note", note(1)).ok()["commit"]["rev"]
    events = firehose.read_until_rev(server, 0, other.did, rev)
    left = [event for event in events if event.did == client.did]
    assert {event.kind for event in left} == {"#account"} and left[-1].body["status"] == "deleted"
    assert not any(b"a secret that must go" in event.raw for event in events)


def test_ends_with_the_server(own_server):
    with firehose.subscribe(own_server) as one:
        assert own_server.stop() == 0
        with pytest.raises(ConnectionClosed):
            one.recv(timeout=10)
    own_server.start()
    assert requests.get(own_server.base + "/xrpc/_health", timeout=10).status_code == 200


def test_sequence_goes_on_after_a_restart(own_server):
    server = own_server
    client = server.account()
    rev = client.create("com.example.note", note(1)).ok()["commit"]["rev"]
    before = firehose.read_until_rev(server, 0, client.did, rev)
    server.stop()
    server.start()
    rev = client.create("com.example.note", note(2)).ok()["commit"]["rev"]
    after = firehose.read_until_rev(server, 0, client.did, rev)
    assert [event.raw for event in after[: len(before)]] == [event.raw for event in before]
    firehose.check_order(after)
