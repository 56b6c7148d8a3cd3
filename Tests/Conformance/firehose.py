"""A consumer of sync.subscribeRepos that keeps raw frames and decodes them with a strict decoder."""

import dataclasses
import ssl
import threading
import time

from cbrrr import decode_multi_dag_cbor_in_violation_of_the_spec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

FRAME_BYTES_MAX = 5_000_000


@dataclasses.dataclass
class Event:
    """One frame: as received, and decoded."""

    raw: bytes
    header: dict
    body: dict

    @property
    def kind(self):
        return self.header.get("t")

    @property
    def seq(self):
        return self.body.get("seq")

    @property
    def did(self):
        return self.body.get("repo") or self.body.get("did")

    @property
    def is_error(self):
        return self.header["op"] == -1


def decode(raw):
    assert isinstance(raw, bytes), "a text frame"
    assert len(raw) <= FRAME_BYTES_MAX, f"a frame of {len(raw)} bytes"
    parts = list(decode_multi_dag_cbor_in_violation_of_the_spec(raw))
    assert len(parts) == 2, f"a frame of {len(parts)} objects"
    header, body = parts
    assert header in ({"op": 1, "t": header.get("t")}, {"op": -1}), f"a strange header: {header}"
    return Event(raw, header, body)


def address(server, cursor=None):
    query = "" if cursor is None else f"?cursor={cursor}"
    scheme = "wss" if server.trust else "ws"
    return f"{scheme}://localhost:{server.port}/xrpc/com.atproto.sync.subscribeRepos{query}"


def subscribe(server, cursor=None, **options):
    """A connection, opened before this returns: every event after this moment will come through it."""
    options.setdefault("compression", None)
    options.setdefault("max_size", FRAME_BYTES_MAX)
    options.setdefault("ping_interval", None)
    options.setdefault("open_timeout", 30)
    if server.trust:
        options.setdefault("ssl", ssl.create_default_context(cafile=server.trust))
    return connect(address(server, cursor), **options)


def read(server, cursor, until, limit_s=60):
    """The events after `cursor` until one satisfies `until(event)`, that one included."""
    events = []
    limit = time.monotonic() + limit_s
    with subscribe(server, cursor) as socket:
        while True:
            event = decode(socket.recv(timeout=max(0.01, limit - time.monotonic())))
            events.append(event)
            if until(event):
                return events


def read_until_rev(server, cursor, did, rev, limit_s=60):
    """The events after `cursor` up to the commit of `did` with revision `rev`."""
    return read(server, cursor, lambda e: e.kind == "#commit" and e.did == did and e.body["rev"] == rev, limit_s)


def read_to_close(server, cursor, limit_s=30):
    """All events until the server closes; (events, close code)."""
    events = []
    limit = time.monotonic() + limit_s
    with subscribe(server, cursor) as socket:
        try:
            while True:
                events.append(decode(socket.recv(timeout=max(0.01, limit - time.monotonic()))))
        except ConnectionClosed as closed:
            return events, closed.rcvd.code if closed.rcvd else None


class Follower:
    """Reads in the background from a cursor on, keeping everything."""

    def __init__(self, server, cursor=None):
        self.events = []
        self.failure = None
        self._news = threading.Condition()
        self._socket = subscribe(server, cursor).__enter__()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            for raw in self._socket:
                event = decode(raw)
                with self._news:
                    self.events.append(event)
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        except BaseException as failure:
            self.failure = failure
        with self._news:
            self._news.notify_all()

    def wait(self, predicate, limit_s=60):
        """Waits until an event satisfies `predicate`, and returns it."""
        limit, seen = time.monotonic() + limit_s, 0
        with self._news:
            while True:
                for event in self.events[seen:]:
                    seen += 1
                    if predicate(event):
                        return event
                if self.failure:
                    raise self.failure
                assert self._thread.is_alive(), "the stream ended"
                left = limit - time.monotonic()
                assert left > 0, f"nothing in {limit_s} s; had {[(e.seq, e.kind) for e in self.events[-5:]]}"
                self._news.wait(left)

    def wait_rev(self, did, rev, limit_s=60):
        return self.wait(lambda e: e.kind == "#commit" and e.did == did and e.body["rev"] == rev, limit_s)

    def close(self):
        self._socket.close()
        self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def check_order(events):
    """Sequence numbers rise, and each repository's commits form one chain. Returns the last commit by repository."""
    last_seq, heads = 0, {}
    for event in events:
        assert event.seq > last_seq, f"seq {event.seq} after {last_seq}"
        last_seq = event.seq
        if event.kind == "#sync":
            heads.pop(event.did, None)
        if event.kind != "#commit":
            continue
        before = heads.get(event.did)
        if before is not None:
            assert event.body["since"] == before["rev"], f"since {event.body['since']} after {before['rev']}"
            assert event.body["rev"] > before["rev"], f"rev {event.body['rev']} after {before['rev']}"
        heads[event.did] = event.body
    return heads
