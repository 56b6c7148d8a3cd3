"""Keys, did:plc operations, service tokens and repositories, made outside the server as another server would."""

import base64
import hashlib
import json
import secrets
import time

from atmst.blockstore import MemoryBlockStore
from atmst.mst.node_store import NodeStore
from atmst.mst.node_wrangler import NodeWrangler
from cbrrr import CID, encode_dag_cbor
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

import judge

_TID_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """A K-256 key."""

    def __init__(self):
        self._secret = ec.generate_private_key(ec.SECP256K1())
        point = self._secret.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )
        self.did_key = "did:key:z" + judge.base58_encode(b"\xe7\x01" + point)
        self.public = self._secret.public_key()

    def sign(self, message):
        """64 bytes, low-S."""
        r, s = utils.decode_dss_signature(self._secret.sign(message, ec.ECDSA(hashes.SHA256())))
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        s = min(s, order - s)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sign_operation(operation, key):
    """The did:plc operation with its signature."""
    unsigned = {name: value for name, value in operation.items() if name != "sig"}
    return {**unsigned, "sig": base64url(key.sign(encode_dag_cbor(unsigned)))}


def genesis(rotation, signing, handle, endpoint):
    """(DID, signed genesis operation)."""
    operation = sign_operation(
        {
            "type": "plc_operation",
            "rotationKeys": [rotation.did_key],
            "verificationMethods": {"atproto": signing.did_key},
            "alsoKnownAs": [f"at://{handle}"],
            "services": {"atproto_pds": {"type": "AtprotoPersonalDataServer", "endpoint": endpoint}},
            "prev": None,
        },
        rotation,
    )
    digest = hashlib.sha256(encode_dag_cbor(operation)).digest()
    return "did:plc:" + base64.b32encode(digest).decode().lower()[:24], operation


def operation_cid(operation):
    return CID.cidv1_dag_cbor_sha256_32_from(encode_dag_cbor(operation)).encode()


def service_token(key, issuer, audience, method, **claims):
    """A service-auth JWT, as the server that hosts `issuer` would issue it."""
    header = {"typ": "JWT", "alg": "ES256K", **claims.pop("header", {})}
    moment = int(time.time())
    payload = {
        "iss": issuer,
        "aud": audience,
        "lxm": method,
        "iat": moment,
        "exp": moment + 60,
        "jti": secrets.token_hex(16),
        **claims,
    }
    payload = {name: value for name, value in payload.items() if value is not None}
    body = ".".join(base64url(json.dumps(part).encode()) for part in (header, payload))
    return f"{body}.{base64url(key.sign(body.encode()))}"


def tid(microseconds=None, clock=0):
    value = (int(microseconds if microseconds is not None else time.time() * 1e6) << 10) | clock
    return "".join(_TID_ALPHABET[(value >> (60 - 5 * index)) & 31] for index in range(13))


def repository(did, key, records, rev=None, extra_blocks=()):
    """The CAR of a repository with these records ({path: value}), signed by `key`."""
    store_blocks = {}
    store = NodeStore(MemoryBlockStore(store_blocks))
    wrangler = NodeWrangler(store)
    root = store.get_node(None).cid
    record_blocks = {}
    for path, value in records.items():
        block = encode_dag_cbor(value)
        cid = CID.cidv1_dag_cbor_sha256_32_from(block)
        record_blocks[cid] = block
        root = wrangler.put_record(root, path, cid)
    nodes = {}

    def collect(cid):
        node = store.get_node(cid)
        nodes[cid] = node.serialised
        for subtree in node.subtrees:
            if subtree is not None:
                collect(subtree)

    collect(root)
    commit = signed_commit(did, key, root, rev or tid())
    blocks = [commit, *nodes.items(), *record_blocks.items(), *extra_blocks]
    return judge.write_car([commit[0]], blocks)


def signed_commit(did, key, data, rev):
    """(CID, block) of a commit."""
    unsigned = {"did": did, "version": 3, "data": data, "rev": rev, "prev": None}
    block = encode_dag_cbor({**unsigned, "sig": key.sign(encode_dag_cbor(unsigned))})
    return CID.cidv1_dag_cbor_sha256_32_from(block), block


class Newcomer:
    """A person whose did:plc identity was made elsewhere and lies in the server's own directory."""

    def __init__(self, server, handle=None):
        self.server = server
        self.rotation, self.signing = Key(), Key()
        self.handle = handle
        self.did, self.operation = genesis(self.rotation, self.signing, handle, "https://elsewhere.example")
        answer = server.anonymous().raw("POST", f"/plc/{self.did}", json=self.operation)
        assert answer.status == 200, str(answer)

    def token(self, method, audience, **claims):
        return service_token(self.signing, self.did, audience, method, **claims)
