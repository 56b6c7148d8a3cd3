"""An S3 server in memory with one empty bucket: moto's, on a free port, until it is stopped.

As a program it prints `bucket: <location>` once it answers, and serves until it is killed.
"""

import http.server
import signal
import threading

import requests
from moto.server import ThreadedMotoServer

NAME = "kith-test"
# moto takes any keys, and looks at no signature: that is held by vectors.
KEYS = {"KITH_BLOBS_ACCESS_KEY": "testing", "KITH_BLOBS_SECRET_KEY": "testing-secret"}


class Bucket:
    """A running server with an empty bucket. `objects` are the keys in it."""

    def __init__(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def start(self):
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        requests.put(f"{self.endpoint}/{NAME}", headers=self._headers(), timeout=10).raise_for_status()
        return self

    @property
    def location(self):
        return f"s3://{NAME}/kith?endpoint={self.endpoint}&region=us-east-1"

    @property
    def settings(self):
        """What `kith serve` is told."""
        return {"KITH_BLOBS_URL": self.location, **KEYS}

    def stop(self):
        self.server.stop()

    def keys(self):
        listing = requests.get(f"{self.endpoint}/{NAME}?list-type=2", headers=self._headers(), timeout=10).text
        return [part.split("</Key>")[0] for part in listing.split("<Key>")[1:]]

    def get(self, key):
        return requests.get(f"{self.endpoint}/{NAME}/{key}", headers=self._headers(), timeout=10).content

    def delete(self, key):
        requests.delete(f"{self.endpoint}/{NAME}/{key}", headers=self._headers(), timeout=10).raise_for_status()

    def place(self, prefix):
        """Another prefix of the same bucket."""
        return f"s3://{NAME}/{prefix}?endpoint={self.endpoint}&region=us-east-1"

    def put(self, key, content):
        requests.put(
            f"{self.endpoint}/{NAME}/{key}", data=content, headers=self._headers(), timeout=10
        ).raise_for_status()

    @staticmethod
    def _headers():
        # Enough to be taken for a request to S3.
        return {"Authorization": "AWS4-HMAC-SHA256 Credential=testing/20250101/us-east-1/s3/aws4_request"}


class Failing:
    """Stands before a bucket. Once `refuses` says so of a method and a path it does what it is asked and answers 500,
    to that and to all that comes; `heal` ends it."""

    def __init__(self, behind):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                answer = requests.request(
                    self.command, behind.endpoint + self.path, data=body, headers=headers, timeout=30
                )
                outer.failing = outer.failing or outer.refuses(self.command, self.path)
                content = b"" if outer.failing else answer.content
                self.send_response(500 if outer.failing else answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else len(content)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815

            def log_message(self, *_):
                pass

        self.heal()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def heal(self):
        self.failing, self.refuses = False, lambda method, path: False

    def place(self, prefix):
        return f"s3://{NAME}/{prefix}?endpoint={self.endpoint}&region=us-east-1"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    running = Bucket().start()
    print(f"bucket: {running.location}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    running.stop()
