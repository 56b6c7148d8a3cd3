"""Starts and stops the server under test, and speaks to it over HTTP."""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import requests

import database

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("KITH_BINARY", ".build/debug/kith"))
if not BINARY.is_absolute():
    BINARY = ROOT / BINARY
FIXTURES = ROOT.parent / "shared" / "fixtures"

ADMIN_HANDLE = "warden"
ADMIN_EMAIL = "warden@mail.test"
ADMIN_PASSWORD = "Copper-Lantern-41"
PASSWORD = "Seven-Quiet-Rivers-7"

_START_LIMIT_S = 60
_names = itertools.count(1)


class Failure(AssertionError):
    """An answer that was expected to be a success and was not."""


@dataclasses.dataclass
class Answer:
    """What came back: the status, the body, and the parsed JSON where it is JSON."""

    status: int
    headers: requests.structures.CaseInsensitiveDict
    content: bytes
    request: str

    @property
    def json(self):
        return json.loads(self.content)

    @property
    def error(self):
        """The error name, or None for a success."""
        if self.status < 400:
            return None
        body = self.json
        assert isinstance(body.get("error"), str) and body["error"], f"{self}: no error name"
        assert isinstance(body.get("message"), str) and body["message"], f"{self}: no message"
        return body["error"]

    @property
    def message(self):
        return self.json.get("message", "")

    def ok(self):
        if self.status != 200:
            raise Failure(str(self))
        return self.json if self.content and "json" in self.headers.get("content-type", "") else {}

    def __str__(self):
        return f"{self.request} → {self.status} {self.content[:600]!r}"


class Client:
    """One caller: nobody, a session, or the operator. Not for several threads at once."""

    def __init__(self, base, token=None, basic=None, trust=None):
        self.base = base
        self.http = requests.Session()
        self.http.trust_env = False
        self.trust = trust
        if trust:
            self.http.verify = trust
        self.token = token
        self.basic = basic
        self.did = self.handle = self.password = self.email = self.refresh_token = None

    def __repr__(self):
        return f"<{self.handle or ('operator' if self.basic else 'anonymous')}>"

    def raw(self, method, path, **options):
        headers = dict(options.pop("headers", {}) or {})
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.basic and "Authorization" not in headers:
            options["auth"] = self.basic
        options.setdefault("timeout", 120)
        reply = self.http.request(method, self.base + path, headers=headers, allow_redirects=False, **options)
        return Answer(reply.status_code, reply.headers, reply.content, f"{method} {path}")

    def get(self, nsid, headers=None, **params):
        pairs = []
        for key, value in params.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                pairs.append((key, str(one).lower() if isinstance(one, bool) else str(one)))
        query = "?" + urllib.parse.urlencode(pairs) if pairs else ""
        return self.raw("GET", f"/xrpc/{nsid}{query}", headers=headers)

    def post(self, nsid, body=None, *, data=None, headers=None, **fields):
        """A procedure with a JSON body (`body` or keyword fields), with raw `data`, or with no body at all."""
        if data is not None:
            return self.raw("POST", f"/xrpc/{nsid}", data=data, headers=headers)
        content = body if body is not None else (fields or None)
        return self.raw("POST", f"/xrpc/{nsid}", json=content, headers=headers)

    def create(self, collection, record, **more):
        return self.post("com.atproto.repo.createRecord", repo=self.did, collection=collection, record=record, **more)

    def put(self, collection, rkey, record, **more):
        return self.post(
            "com.atproto.repo.putRecord", repo=self.did, collection=collection, rkey=rkey, record=record, **more
        )

    def delete(self, collection, rkey, **more):
        return self.post("com.atproto.repo.deleteRecord", repo=self.did, collection=collection, rkey=rkey, **more)

    def head(self):
        return self.get("com.atproto.sync.getLatestCommit", did=self.did).ok()

    def car(self, **params):
        answer = self.get("com.atproto.sync.getRepo", did=self.did, **params)
        answer.ok()
        return answer.content

    def again(self):
        """The same caller over a connection of its own, for another thread."""
        other = Client(self.base, self.token, self.basic, self.trust)
        other.did, other.handle, other.password = self.did, self.handle, self.password
        other.email, other.refresh_token = self.email, self.refresh_token
        return other


def post_record(text="Hello, world", **more):
    return {"$type": "app.bsky.feed.post", "text": text, "createdAt": now(), **more}


def now():
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"


def unique(prefix="user"):
    """A name nobody has taken yet, 3 to 18 characters, fit for a handle."""
    return f"{prefix}{next(_names)}x{random.randrange(16**4):04x}"


def free_port():
    # Below the range that the kernel hands out to clients, so that none takes the port while the server restarts.
    while True:
        port = random.randrange(18000, 30000)
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Site:
    """Where an instance is reached: one server, or what stands in front of several."""

    base: str
    port: int
    # The file with the certificate to be believed, where it is spoken to over TLS.
    trust = None

    def anonymous(self):
        return Client(self.base, trust=self.trust)

    def operator(self):
        return Client(self.base, basic=("admin", ADMIN_PASSWORD), trust=self.trust)

    def domain(self):
        return self.anonymous().get("com.atproto.server.describeServer").ok()["availableUserDomains"][0]

    def admin(self):
        return self.sign_in(ADMIN_HANDLE, ADMIN_PASSWORD)

    def sign_in(self, identifier, password=PASSWORD, **more):
        client = self.anonymous()
        session = client.post("com.atproto.server.createSession", identifier=identifier, password=password, **more).ok()
        return adopt(client, session, password)

    def account(self, name=None, **more):
        """Creates an account through the protocol's own door and returns its session."""
        client = self.anonymous()
        name = name or unique()
        body = {"handle": name + self.domain(), "email": f"{name}@mail.test", "password": PASSWORD, **more}
        session = client.post("com.atproto.server.createAccount", body).ok()
        client.email = body["email"]
        return adopt(client, session, PASSWORD)

    def accounts(self, count):
        """Several accounts, made side by side."""
        return in_threads(4, range(count), lambda _: self.account())


class Server(Site):
    """One `kith serve` on a port, a data folder and a database of its own; servers on one folder share the database."""

    def __init__(self, data=None, environment=None, arguments=()):
        self.folder = pathlib.Path(data) if data else pathlib.Path(tempfile.mkdtemp(prefix="kith-"))
        self.arguments = list(arguments)
        environment = dict(environment or {})
        self._databases = None
        if database.IS_POSTGRESQL and "KITH_DATABASE_URL" not in environment:
            self._databases = database.Databases(database.URL)
            environment["KITH_DATABASE_URL"] = self._databases.make(database.name_for(self.folder))
        self.port = free_port()
        self.base = f"http://localhost:{self.port}"
        self.log_path = pathlib.Path(tempfile.mkstemp(prefix="kith-", suffix=".log")[1])
        self.process = None
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": os.environ.get("HOME", "/"),
            "KITH_DEVELOPMENT": "true",
            "KITH_BOOTSTRAP_ADMIN_HANDLE": ADMIN_HANDLE,
            "KITH_BOOTSTRAP_ADMIN_EMAIL": ADMIN_EMAIL,
            "KITH_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
            **environment,
        }

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        assert BINARY.exists(), f"no server at {BINARY}: build it first, or name one by KITH_BINARY"
        log = self.log_path.open("ab")
        command = [str(BINARY), "serve", "--data", str(self.folder), "--host", "127.0.0.1", "--port", str(self.port)]
        command += self.arguments
        self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        limit = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                raise Failure(f"the server ended with {self.process.returncode} at start:\n{self.log_tail()}")
            with contextlib.suppress(OSError):
                if requests.get(self.base + "/xrpc/_health", timeout=5).status_code == 200:
                    return self
            time.sleep(0.02)
        raise Failure(f"the server did not become ready in {_START_LIMIT_S} s:\n{self.log_tail()}")

    def kill(self):
        """As a power cut would: no chance to finish anything."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """As an operator would. Returns the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failure(f"the server did not stop within 30 s of SIGTERM:\n{self.log_tail()}") from None
        return self.process.returncode if self.process else None

    def alive(self):
        return self.process.poll() is None

    def remove(self):
        """Stops it, and removes everything it kept."""
        if self.process and self.alive():
            self.stop()
        if self._databases:
            self._databases.drop(database.name_for(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log_path.unlink(missing_ok=True)

    def log_tail(self, characters=6000):
        return self.log_path.read_text(errors="replace")[-characters:]

    def memory_bytes(self):
        """Resident memory at present."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise Failure("no VmRSS")

    def command(self, *arguments, check=True):
        """Runs an administration command of the binary on this server's data."""
        done = subprocess.run(
            [str(BINARY), *arguments], env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        if check and done.returncode != 0:
            raise Failure(f"kith {' '.join(arguments)} → {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


def adopt(client, session, password):
    client.token, client.refresh_token = session["accessJwt"], session["refreshJwt"]
    client.did, client.handle, client.password = session["did"], session["handle"], password
    client.email = session.get("email", client.email)
    return client


def in_threads(count, items, work):
    """Does `work(item)` for every item on `count` threads; results in order, the first failure raised."""
    items = list(items)
    results, failures, lock, place = [None] * len(items), [], threading.Lock(), iter(range(len(items)))

    def loop():
        while not failures:
            with lock:
                index = next(place, None)
            if index is None:
                return
            try:
                results[index] = work(items[index])
            except BaseException as failure:
                failures.append(failure)

    threads = [threading.Thread(target=loop) for _ in range(min(count, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
