"""haproxy in front of several processes, with the configuration that docs/topology.md gives."""

import datetime
import ipaddress
import pathlib
import re
import shutil
import subprocess

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import kith
from database import wait_until

CONFIGURATION = kith.ROOT / "deploy" / "haproxy.cfg"
PROGRAM = shutil.which("haproxy") or "/usr/sbin/haproxy"


class Front(kith.Site):
    """The one address of several web processes. Only addresses, ports and the certificate differ from the file."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = kith.free_port()
        self.base = f"https://localhost:{self.port}"
        self.trust = str(self.folder / "kith.pem")
        self.log_path = self.folder / "haproxy.log"
        self._process = None
        certify(pathlib.Path(self.trust))

    def start(self, servers):
        """Begins to serve; returns once every process is in rotation."""
        text = CONFIGURATION.read_text().replace("/etc/haproxy/kith.pem", self.trust)
        text, binds = re.subn(r"(?m)^    bind :443 ", f"    bind 127.0.0.1:{self.port} ", text)
        assert binds == 1
        ports = iter(servers)
        text, places = re.subn(
            r"(?m)^(    server web\d) 127\.0\.0\.1:\d+$", lambda found: f"{found[1]} 127.0.0.1:{next(ports).port}", text
        )
        assert places == len(servers)
        path = self.folder / "haproxy.cfg"
        path.write_text(text)
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen([PROGRAM, "-W", "-db", "-f", str(path)], stdout=log, stderr=log)
        wait_until(self._is_reached)
        return self

    def _is_reached(self):
        assert self._process.poll() is None, self.log()
        try:
            return requests.get(self.base + "/xrpc/_health", verify=self.trust, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for(self, words, since=0):
        """Waits until haproxy says so, behind the position `since` of its log."""
        wait_until(lambda: words in self.log()[since:])

    def served_by(self, name, since=0):
        """How many requests the server `name` has answered since then."""
        return len(re.findall(rf" web/{name} \d", self.log()[since:]))

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=30)


def certify(path):
    """A certificate for localhost and its key, in one file as haproxy wants it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
