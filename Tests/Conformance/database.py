"""The databases that servers under test keep their data in.

`KITH_TEST_ENGINE=postgresql` puts each server's data into a database of its own on the PostgreSQL server that
`scripts/with-postgresql` has started; otherwise each keeps an SQLite file in its data folder.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
URL = os.environ.get("KITH_TEST_POSTGRESQL_URL")
IS_POSTGRESQL = os.environ.get("KITH_TEST_ENGINE") == "postgresql"
if IS_POSTGRESQL and not URL:
    raise RuntimeError("KITH_TEST_POSTGRESQL_URL is not set: run the suite by scripts/with-postgresql")


class Databases:
    """Databases on one PostgreSQL server, made and dropped by name."""

    def __init__(self, url, binaries=None):
        self.url = url
        self.binaries = binaries or os.environ.get("KITH_TEST_POSTGRESQL_BINARIES") or ""

    def tool(self, name):
        return str(pathlib.Path(self.binaries) / name) if self.binaries else shutil.which(name) or name

    def address(self, name):
        return self.url.replace("/postgres?", f"/{name}?")

    def run(self, sql, name="postgres"):
        """Runs a statement; the first column of its rows."""
        done = subprocess.run(
            [self.tool("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, self.address(name)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{sql}: {done.stderr}"
        return done.stdout.split("\n")[:-1]

    def make(self, name, more=""):
        """A database of this name, unless it is there. Returns its address."""
        if not self.run(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            self.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' {more}")
        return self.address(name)

    def drop(self, name):
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def name_for(folder):
    """The name of the database that belongs to a data folder."""
    return "kith_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


def send_to_processes(data, number):
    """Sends a signal to the server of a data folder: to its first process and to all that it has started."""
    first = int((data / "postmaster.pid").read_text().split()[0])
    # The first before it can start others, and then those.
    os.kill(first, number)
    for pid in pathlib.Path(f"/proc/{first}/task/{first}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), number)


class Cluster(Databases):
    """A PostgreSQL server for one test, which may stop it and start it again."""

    def __init__(self):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("KITH_TEST_POSTGRESQL_")}
        # It lives for as long as our end of the pipe.
        script = 'echo "$KITH_TEST_POSTGRESQL_URL"; echo "$KITH_TEST_POSTGRESQL_BINARIES"; exec cat'
        self._keeper = subprocess.Popen(
            [str(ROOT / "scripts" / "with-postgresql"), "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        url = self._keeper.stdout.readline().strip()
        assert url, "no PostgreSQL server: see scripts/with-postgresql"
        super().__init__(url, self._keeper.stdout.readline().strip())
        self.folder = pathlib.Path(url.split("host=")[1])

    def as_owner(self, *command):
        """Runs a command as the user whom the server belongs to."""
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        # Not a pipe: a server that it starts would inherit it.
        with open(os.devnull, "w") as nowhere:
            subprocess.run(command, cwd=self.folder, check=True, stdout=nowhere, timeout=120)

    def _control(self, *arguments):
        self.as_owner(self.tool("pg_ctl"), "--pgdata", str(self.folder / "data"), "--wait", "--silent", *arguments)

    def stop(self, mode="immediate"):
        """`immediate` is a crash as far as clients can tell."""
        self._control("--mode", mode, "stop")

    def start(self):
        self._control("--log", str(self.folder / "server.log"), "start")

    def restart(self, mode="immediate"):
        self._control("--mode", mode, "--log", str(self.folder / "server.log"), "restart")

    def freeze(self):
        """Its processes stand still, while the kernel goes on to take connections and bytes for them."""
        send_to_processes(self.folder / "data", signal.SIGSTOP)

    def thaw(self):
        send_to_processes(self.folder / "data", signal.SIGCONT)

    def close(self):
        self._keeper.stdin.close()
        self._keeper.wait(timeout=60)


class Replica(Databases):
    """A streaming replica of a cluster, made by pg_basebackup as docs/topology.md says. It notes every statement."""

    PORT = 5433

    def __init__(self, primary):
        super().__init__(f"{primary.url}&port={self.PORT}", primary.binaries)
        self.primary = primary
        self.data = primary.folder / "replica"
        self.log = primary.folder / "replica.log"
        primary.as_owner(
            self.tool("pg_basebackup"),
            *("--host", str(primary.folder), "--username", "kith", "--pgdata", str(self.data)),
            *("--checkpoint", "fast", "--write-recovery-conf", "--wal-method", "stream"),
        )
        # The socket lies in the folder of the primary's: another port is another socket.
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"port = {self.PORT}\nlog_statement = 'all'\nlog_line_prefix = '%a: '\n")

    def _control(self, *arguments):
        self.primary.as_owner(self.tool("pg_ctl"), "--pgdata", str(self.data), "--wait", "--silent", *arguments)

    def start(self):
        self._control("--log", str(self.log), "start")
        return self

    def stop(self, mode="immediate"):
        self._control("--mode", mode, "stop")

    def freeze(self):
        """Stops in the middle of whatever it does: it answers nobody, and no connection ends."""
        send_to_processes(self.data, signal.SIGSTOP)

    def thaw(self):
        send_to_processes(self.data, signal.SIGCONT)

    def pause(self):
        """From now on nothing of what it receives is to be seen."""
        self.run("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.run("SELECT pg_get_wal_replay_pause_state()") == ["paused"])

    def resume(self):
        self.run("SELECT pg_wal_replay_resume()")

    def catch_up(self):
        """Waits until everything is to be seen that the primary has now."""
        wanted = self.primary.run("SELECT pg_current_wal_flush_lsn()")[0]
        wait_until(lambda: self.run(f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'::pg_lsn") == ["t"])

    def downloads(self):
        """How many repositories were read from it so far."""
        return self.log.read_text(errors="replace").count("FROM node")


def wait_until(question, limit_s=60):
    """Waits until `question()` is true."""
    limit = time.monotonic() + limit_s
    while not question():
        assert time.monotonic() < limit, f"not within {limit_s} s"
        time.sleep(0.02)
