"""What keeps a server from starting: each mistake in a sentence, all of them in one report, and nothing changed."""

import contextlib
import http.server
import sqlite3
import subprocess
import threading

import pytest

import bucket
import database
import kith

SECRET = "a secret of the operator's own, of 32 bytes or more"
# Nothing listens on the discard port.
NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="module")
def cluster():
    own = database.Cluster()
    yield own
    own.close()


@pytest.fixture(scope="module")
def store():
    running = bucket.Bucket().start()
    yield running
    running.stop()


@pytest.fixture
def refused(make_server):
    """Starts a server with these settings, which has to end by itself; what it said, and its code."""

    def start(data=None, **settings):
        server = make_server(data=data, start=False, **{"KITH_HOSTNAME": "here.test", **settings})
        command = [str(kith.BINARY), "serve", "--data", str(server.folder), "--port", str(server.port)]
        done = subprocess.run(command, env=server.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode not in (0, None) and done.returncode > 0, done.stdout + done.stderr
        said = done.stderr[done.stderr.index("kith: ") :]
        for word in ("StorageError", "Optional(", "Error(", "detail:", "Fatal", "Sealed-Tight"):
            assert word not in said, said
        return done.returncode, said

    return start


@pytest.fixture
def make_database(cluster):
    """Makes databases on the server, and drops them."""
    made = []

    def make(more=""):
        made.append(kith.unique("start"))
        return made[-1], cluster.make(made[-1], more)

    yield make
    for name in made:
        cluster.drop(name)


@pytest.fixture
def served(make_database, make_server):
    """The name and the address of a database that an instance called here.test has been served from."""
    name, address = make_database()
    settings = {"KITH_DATABASE_URL": address, "KITH_KEY_ENCRYPTION_SECRET": SECRET, "KITH_HOSTNAME": "here.test"}
    server = make_server(**settings)
    server.stop()
    return name, address


def one_sentence(said):
    """A single mistake is told in a single line."""
    assert said.count("\n") == 1 and "  - " not in said, said
    return said


def as_role(cluster, address, name, options=""):
    cluster.run(f"CREATE ROLE {name} LOGIN {options}")
    return address.replace("kith@", f"{name}@")


# The database


@pytest.mark.parametrize(
    ("change", "words", "expected"),
    [
        (lambda address: address.replace("host=", "hots="), "connection string can't be read", 78),
        (lambda address: "postgresql://kith:Sealed/Tight@localhost/kith", "names a port that is no number", 78),
        (lambda address: "postgresql://kith:Sealed-Tight%@localhost/kith", "connection string can't be read", 78),
        (lambda address: address.replace("/start", "/never"), "does not exist (3D000)", 78),
        (lambda address: address.replace("kith@", "nobody@"), 'role "nobody" does not exist (28000)', 78),
        # What may be there a little later.
        (lambda address: f"postgresql://kith@{NOWHERE}/kith", "Connection refused", 1),
        (lambda address: "postgresql://kith@/kith?host=/nowhere/at/all", "No such file or directory", 1),
        (lambda address: "postgresql://kith@does-not-exist.invalid/kith", "does-not-exist.invalid", 1),
    ],
)
def test_a_database_that_can_not_be_reached(refused, make_database, change, words, expected):
    _, address = make_database()
    code, said = refused(KITH_DATABASE_URL=change(address))
    assert code == expected and words in one_sentence(said) and "the database can't be opened" in said


def test_a_database_that_takes_no_writes(cluster, refused, make_database):
    name, address = make_database()
    cluster.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    code, said = refused(KITH_DATABASE_URL=address)
    assert code == 78 and "the database is read-only: default_transaction_read_only is on" in one_sentence(said)


def test_what_is_no_role(refused):
    code, said = refused(KITH_ROLES="web,fish")
    assert code == 78 and "KITH_ROLES" in said


def test_what_is_no_address(refused):
    code, said = refused(KITH_DATABASE_URL="mysql://kith:Sealed-Tight@localhost/kith")
    assert code == 78 and "KITH_DATABASE_URL" in said
    code, said = refused(
        KITH_DATABASE_REPLICA_URL="somewhere with Sealed-Tight", KITH_DATABASE_URL=f"postgresql://kith@{NOWHERE}/kith"
    )
    assert code == 78 and "KITH_DATABASE_REPLICA_URL" in said


def test_a_wrong_password(cluster, refused, make_database):
    _, address = make_database()
    guarded = as_role(cluster, address, "guarded", "PASSWORD 'right'").replace("guarded@", "guarded:Sealed-Tight@")
    rules = cluster.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text("local all guarded scram-sha-256\n" + before)
        cluster.run("SELECT pg_reload_conf()")
        code, said = refused(KITH_DATABASE_URL=guarded)
        assert code == 78 and "password authentication failed" in one_sentence(said)
        # Of a server that follows it is as wrong, even though it could be done without.
        code, said = refused(KITH_DATABASE_URL=address, KITH_DATABASE_REPLICA_URL=guarded)
        assert code == 78 and "replica" in one_sentence(said) and "password authentication failed" in said
    finally:
        rules.write_text(before)
        cluster.run("SELECT pg_reload_conf()")
        cluster.run("DROP ROLE guarded")


def test_a_role_without_rights(cluster, refused, served, make_database):
    name, address = make_database()
    role = as_role(cluster, address, "poor")
    try:
        code, said = refused(KITH_DATABASE_URL=role)
        assert code == 78 and "no right to CREATE in the schema 'public'" in one_sentence(said)
        assert cluster.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == ["0"]
        used, address = served
        role = address.replace("kith@", "poor@")
        code, said = refused(KITH_DATABASE_URL=role, KITH_KEY_ENCRYPTION_SECRET=SECRET)
        assert code == 78 and "the user poor may not read and write the table" in one_sentence(said)
        cluster.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO poor", used)
        # An older schema, which somebody who owns nothing can't bring up to date.
        cluster.run("DELETE FROM storage_migration WHERE room = 'storage' AND number = 2", used)
        code, said = refused(KITH_DATABASE_URL=role, KITH_KEY_ENCRYPTION_SECRET=SECRET)
        assert code == 78 and "lacks 1 step of the schema" in one_sentence(said) and "owned by somebody else" in said
        cluster.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC", used)
        code, said = refused(KITH_DATABASE_URL=role, KITH_KEY_ENCRYPTION_SECRET=SECRET)
        assert code == 78 and "no schema for tables" in one_sentence(said)
    finally:
        for one in (used, name):
            cluster.run("DROP OWNED BY poor", one)
        cluster.run("DROP ROLE poor")


def test_a_role_with_just_enough_rights(cluster, served, make_server):
    """Nothing more than reading and writing is asked for where no step of the schema is missing."""
    name, address = served
    role = as_role(cluster, address, "modest")
    try:
        cluster.run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO modest", name)
        server = make_server(KITH_DATABASE_URL=role, KITH_KEY_ENCRYPTION_SECRET=SECRET, KITH_HOSTNAME="here.test")
        account = server.account()
        account.create("app.bsky.feed.post", kith.post_record()).ok()
        server.stop()
    finally:
        cluster.run("DROP OWNED BY modest", name)
        cluster.run("DROP ROLE modest")


def test_other_schemas(cluster, refused, served):
    name, address = served
    settings = {"KITH_DATABASE_URL": address, "KITH_KEY_ENCRYPTION_SECRET": SECRET}
    cluster.run("UPDATE storage_migration SET digest = '\\x00' WHERE room = 'storage' AND number = 1", name)
    code, said = refused(**settings)
    assert "step 1 of the schema of 'storage' differs" in one_sentence(said) and code == 78
    cluster.run("INSERT INTO storage_migration VALUES ('storage', 99, '\\x00', 0)", name)
    code, said = refused(**settings)
    assert "used by a newer version of Kith (it has step 99 of 'storage')" in one_sentence(said) and code == 78


def test_a_newer_schema_in_a_file(refused, make_server):
    server = make_server(KITH_DATABASE_URL="", KITH_HOSTNAME="here.test")
    server.stop()
    with contextlib.closing(sqlite3.connect(server.folder / "kith.sqlite")) as file:
        file.execute("INSERT INTO storage_migration VALUES ('storage', 99, x'00', 0)")
        file.commit()
    code, said = refused(data=server.folder, KITH_DATABASE_URL="")
    assert "used by a newer version of Kith" in one_sentence(said) and code == 78
    # Nor is it hidden by a mistake of the configuration.
    code, said = refused(data=server.folder, KITH_DATABASE_URL="", KITH_INVITE_REQUIRED="maybe")
    assert said.count("  - ") == 2 and "KITH_INVITE_REQUIRED" in said and "newer version" in said and code == 78


def test_a_file_that_is_no_database(refused, tmp_path):
    (tmp_path / "notes").write_text("nothing of a database is in here\n" * 1000)
    code, said = refused(KITH_DATABASE_URL=f"sqlite:{tmp_path / 'notes'}")
    assert code == 78 and "no database" in one_sentence(said)
    code, said = refused(KITH_DATABASE_URL=f"sqlite:{tmp_path / 'not' / 'there'}")
    assert code == 1 and "the database can't be opened" in one_sentence(said)


def test_a_database_of_another_instance(cluster, refused, served, make_server):
    name, address = served
    code, said = refused(KITH_DATABASE_URL=address)
    assert code == 78 and "belongs to another instance" in one_sentence(said)
    code, said = refused(KITH_DATABASE_URL=address, KITH_KEY_ENCRYPTION_SECRET=SECRET, KITH_HOSTNAME="elsewhere.test")
    assert code == 78 and "belongs to here.test" in one_sentence(said)
    assert cluster.run("SELECT value FROM storage_meta WHERE name = 'instance.name'", name) == ["here.test"]
    # Who served it so far may give it another name; the other processes then have to follow.
    settings = {"KITH_DATABASE_URL": address, "KITH_KEY_ENCRYPTION_SECRET": SECRET}
    server = make_server(KITH_HOSTNAME="here.test", **settings)
    server.stop()
    server.environment["KITH_HOSTNAME"] = "renamed.test"
    server.start().stop()
    code, said = refused(**settings)
    assert code == 78 and "belongs to renamed.test" in one_sentence(said)


def test_replicas(refused, served, make_database, make_server):
    _, address = served
    _, other = make_database()
    settings = {"KITH_DATABASE_URL": address, "KITH_KEY_ENCRYPTION_SECRET": SECRET}
    code, said = refused(KITH_DATABASE_REPLICA_URL=other.replace("/start", "/never"), **settings)
    assert code == 78 and "the replica of the database can't be used" in one_sentence(said)
    code, said = refused(KITH_DATABASE_REPLICA_URL=address.replace("host=", "hots="), **settings)
    assert code == 78 and "the replica of the database can't be used" in one_sentence(said)
    stranger = make_server(KITH_DATABASE_URL=other, KITH_HOSTNAME="here.test")
    stranger.stop()
    code, said = refused(KITH_DATABASE_REPLICA_URL=other, **settings)
    assert code == 78 and "the replica holds another database" in one_sentence(said)
    # One that is away is done without.
    away = {"KITH_DATABASE_REPLICA_URL": f"postgresql://kith@{NOWHERE}/kith", "KITH_HOSTNAME": "here.test"}
    server = make_server(**settings, **away)
    assert "replica of the database can't be reached" in server.log_tail()
    account = server.account()
    assert account.car()


# The bucket


class ReadOnly(http.server.BaseHTTPRequestHandler):
    """A bucket whose objects may be read and listed, and nothing else."""

    def refuse(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_POST = do_DELETE = refuse  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def read_only():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ReadOnly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_buckets(refused, store, read_only):
    for endpoint, words, expected in (
        (f"s3://not-there-at-all?endpoint={store.endpoint}", "no such bucket", 78),
        (f"s3://kith-test?endpoint={read_only}", "the key lacks a right on the bucket", 78),
        (f"s3://kith-test?endpoint=http://{NOWHERE}", "can't be reached", 1),
    ):
        code, said = refused(**{**store.settings, "KITH_BLOBS_URL": endpoint})
        assert code == expected and words in one_sentence(said)


# Several at once


def test_all_in_one_report(cluster, refused, served, store, tmp_path):
    name, address = served
    nothing = {**store.settings, "KITH_BLOBS_URL": f"s3://not-there-at-all?endpoint={store.endpoint}"}
    code, said = refused(KITH_DATABASE_URL=f"postgresql://kith@{NOWHERE}/kith", **nothing)
    assert code == 78 and said.count("  - ") == 2 and "Connection refused" in said and "no such bucket" in said
    cluster.run("INSERT INTO storage_migration VALUES ('storage', 99, '\\x00', 0)", name)
    code, said = refused(
        KITH_DATABASE_URL=address,
        KITH_DATABASE_REPLICA_URL=address.replace("/start", "/never"),
        KITH_HOSTNAME="elsewhere.test",
        KITH_KEY_ENCRYPTION_SECRET=SECRET,
        **nothing,
    )
    assert code == 78 and said.count("  - ") == 4, said
    for words in ("newer version", "belongs to here.test", "the replica", "no such bucket"):
        assert words in said, said
    # A mistake in the configuration hides nothing of what it isn't about.
    code, said = refused(
        KITH_DATABASE_URL=address, KITH_CONNECTIONS_MAX="many", KITH_KEY_ENCRYPTION_SECRET=SECRET, **nothing
    )
    assert code == 78 and said.count("  - ") == 3, said
    for words in ("KITH_CONNECTIONS_MAX", "newer version", "no such bucket"):
        assert words in said, said
    (tmp_path / "file").write_text("")
    code, said = refused(data=tmp_path / "file", KITH_DATABASE_URL=address, **nothing)
    assert said.count("  - ") == 3 and str(tmp_path / "file") in said, said
    code, said = refused(data=tmp_path / "file" / "x", KITH_INVITE_REQUIRED="maybe", KITH_DATABASE_URL="")
    assert code == 78 and said.count("  - ") == 2 and "KITH_INVITE_REQUIRED" in said, said
    assert str(tmp_path / "file" / "x") in said, said
