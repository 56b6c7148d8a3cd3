"""An independent judge of repositories: other people's codecs, trees and curves, none of the server's code.

cbrrr decodes and encodes strictly canonical DAG-CBOR, libipld is a second decoder, atmst is a Merkle search tree,
cryptography has the curves.
"""

import dataclasses
import hashlib

import libipld
from atmst.blockstore import MemoryBlockStore
from atmst.mst.node import MSTNode
from atmst.mst.node_store import NodeStore
from atmst.mst.node_wrangler import NodeWrangler
from cbrrr import CID, decode_dag_cbor, encode_dag_cbor
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ORDERS = {
    "secp256k1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}
_CURVES = {b"\xe7\x01": ec.SECP256K1(), b"\x80\x24": ec.SECP256R1()}


class Verdict(AssertionError):
    """Something about a repository that must not be."""


def require(condition, message):
    if not condition:
        raise Verdict(message)


def text(cid):
    return cid.encode() if cid is not None else None


# Keys and signatures


def base58_decode(string):
    number = 0
    for character in string:
        number = number * 58 + _BASE58.index(character)
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return b"\0" * (len(string) - len(string.lstrip("1"))) + body


def base58_encode(data):
    number, result = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        result = _BASE58[rest] + result
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + result


def public_key(multikey):
    """The key of a Multikey (`z…`) or did:key text."""
    multikey = multikey.removeprefix("did:key:")
    require(multikey.startswith("z"), f"not base58btc: {multikey}")
    data = base58_decode(multikey[1:])
    require(data[:2] in _CURVES, f"unknown kind of key: {multikey}")
    require(len(data) == 35, f"not a compressed point: {multikey}")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[data[:2]], data[2:])


def check_signature(key, signature, message):
    require(len(signature) == 64, f"a signature of {len(signature)} bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    require(s <= _ORDERS[key.curve.name] // 2, "a high-S signature")
    try:
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Verdict("a signature that does not verify") from None


def signing_key(document):
    """The `#atproto` key of a DID document."""
    for method in document["verificationMethod"]:
        if method["id"].endswith("#atproto"):
            require(method["type"] == "Multikey", f"unknown type of verification method: {method['type']}")
            return public_key(method["publicKeyMultibase"])
    raise Verdict("no #atproto key in the DID document")


# CAR files


def _varint(data, at):
    value = shift = 0
    for length in range(10):
        require(at + length < len(data), "a CAR that ends inside a length")
        byte = data[at + length]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            require(length == 0 or byte != 0, "a length that is not minimal")
            return value, at + length + 1
    raise Verdict("a length of more than 10 bytes")


def read_car(data):
    """(roots, [(cid, block)] in file order); every block's hash is checked."""
    length, at = _varint(data, 0)
    header = decode_dag_cbor(data[at : at + length])
    require(header.get("version") == 1 and set(header) == {"version", "roots"}, f"not a CAR v1 header: {header}")
    at += length
    blocks = []
    while at < len(data):
        length, at = _varint(data, at)
        require(at + length <= len(data), "a CAR that ends inside a block")
        cid, block = CID(data[at : at + 36]), data[at + 36 : at + length]
        prefix = bytes(cid)[:4]
        require(prefix in (CID.CIDV1_DAG_CBOR_SHA256_32_PFX, CID.CIDV1_RAW_SHA256_32_PFX), f"a strange CID: {prefix}")
        require(hashlib.sha256(block).digest() == bytes(cid)[4:], f"a block that is not what its CID says: {text(cid)}")
        blocks.append((cid, block))
        at += length
    return header["roots"], blocks


def write_car(roots, blocks):
    """The bytes of a CAR v1 file."""

    def varint(value):
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        return bytes(out)

    header = encode_dag_cbor({"version": 1, "roots": list(roots)})
    parts = [varint(len(header)), header]
    for cid, block in blocks:
        parts += [varint(36 + len(block)), bytes(cid), block]
    return b"".join(parts)


def canonical(block):
    """The value of a block, which must be what a strict encoder would write; two decoders must agree on it."""
    value = decode_dag_cbor(block)
    require(encode_dag_cbor(value) == block, "a block that is not canonical DAG-CBOR")
    libipld.decode_dag_cbor(block)
    return value


# Repositories


@dataclasses.dataclass
class Repository:
    """A repository whose every part was judged."""

    commit_cid: str
    commit: dict
    #: Path to the CID of the record, as text, in key order.
    entries: dict
    #: Path to the decoded record.
    records: dict

    @property
    def rev(self):
        return self.commit["rev"]

    @property
    def data(self):
        return text(self.commit["data"])


def check_commit(block, did, key=None):
    """A commit block: its fields and, given the key, its signature."""
    commit = canonical(block)
    require(
        set(commit) == {"did", "version", "data", "rev", "prev", "sig"}, f"the fields of the commit are {set(commit)}"
    )
    require(commit["did"] == did, f"the commit is of {commit['did']}")
    require(commit["version"] == 3, f"the commit is of version {commit['version']}")
    require(commit["prev"] is None, "prev is not null")
    require(len(commit["rev"]) == 13, f"the revision is {commit['rev']!r}")
    if key is not None:
        unsigned = {name: value for name, value in commit.items() if name != "sig"}
        check_signature(key, commit["sig"], encode_dag_cbor(unsigned))
    return commit


def walk(blocks, root):
    """{path: CID} of the tree, checking each node's form, depth and order as far as atmst does."""
    store = NodeStore(MemoryBlockStore({bytes(cid): block for cid, block in blocks.items()}))
    entries, nodes = {}, set()

    def visit(cid, depth):
        block = blocks.get(cid)
        require(block is not None, f"a tree node is missing: {text(cid)}")
        value = canonical(block)
        require(set(value) == {"e", "l"}, f"the fields of a node are {set(value)}")
        node = store.get_node(cid)
        nodes.add(cid)
        height = depth
        for key in node.keys:
            height = MSTNode.key_height(key)
            require(depth is None or height == depth, f"{key} stands at depth {depth}, not {height}")
        if height is None:
            height = _height_below(store, node)
        require(node.keys or any(node.subtrees) or cid == root, "an empty node that is not the root")
        for index, subtree in enumerate(node.subtrees):
            if subtree is not None:
                visit(subtree, height - 1)
            if index < len(node.keys):
                require(node.keys[index] not in entries, f"{node.keys[index]} stands twice")
                entries[node.keys[index]] = node.vals[index]

    visit(root, None)
    require(list(entries) == sorted(entries, key=str.encode), "the keys are not in order")
    return entries, nodes


def _height_below(store, node):
    """The height of a node without keys: one more than its child's; 0 for the empty tree."""
    if node.subtrees[0] is None:
        return 0
    child = store.get_node(node.subtrees[0])
    return (MSTNode.key_height(child.keys[0]) if child.keys else _height_below(store, child)) + 1


def tree_root(entries):
    """The root that atmst gives the tree of these entries."""
    store = NodeStore(MemoryBlockStore())
    wrangler = NodeWrangler(store)
    root = store.get_node(None).cid
    for path, cid in entries.items():
        root = wrangler.put_record(root, path, cid)
    return root


def check_repository(car, did, key, rebuild=True):
    """Judges a whole export: hashes, commit, signature, tree, records, completeness, nothing left over."""
    roots, listed = read_car(car)
    require(len(roots) == 1, f"{len(roots)} roots")
    blocks = dict(listed)
    require(listed[0][0] == roots[0], "the first block is not the commit")
    commit = check_commit(blocks[roots[0]], did, key)
    entries, nodes = walk(blocks, commit["data"])
    records = {}
    for path, cid in entries.items():
        require(cid in blocks, f"the record {path} is missing")
        records[path] = canonical(blocks[cid])
        require(records[path].get("$type") == path.split("/")[0], f"{path} says it is {records[path].get('$type')}")
    # Equal records share a CID; a writer that keeps only the path in memory repeats them.
    shared = len(entries) - len(set(entries.values()))
    require(len(listed) - len(blocks) <= shared, "a block stands twice that is used once")
    used = nodes | set(entries.values()) | {roots[0]}
    require(set(blocks) == used, f"{len(set(blocks) - used)} blocks that nothing refers to")
    if rebuild:
        require(tree_root(entries) == commit["data"], "the tree is not the one its records give")
    return Repository(text(roots[0]), commit, {path: text(cid) for path, cid in entries.items()}, records)


# Commit events


def check_commit_event(event, key=None):
    """Judges one #commit event by itself: its CAR, its commit, its operations, and the inversion to prevData."""
    roots, listed = read_car(event["blocks"])
    blocks = dict(listed)
    require(len(event["blocks"]) <= 2_000_000, "blocks of more than 2,000,000 bytes")
    require(roots == [event["commit"]], "the root is not the commit")
    require(1 <= len(event["ops"]) <= 200 or not event["ops"], f"{len(event['ops'])} operations")
    require(event["rebase"] is False and event["tooBig"] is False, "a deprecated flag is set")
    commit = check_commit(blocks[event["commit"]], event["repo"], key)
    require(commit["rev"] == event["rev"], "the revisions differ")
    store = NodeStore(MemoryBlockStore({bytes(cid): block for cid, block in blocks.items()}))
    wrangler = NodeWrangler(store)
    paths = [op["path"] for op in event["ops"]]
    require(len(set(paths)) == len(paths), "a path stands in two operations")
    for op in event["ops"]:
        _check_operation(op, blocks, store, commit["data"])
    root = commit["data"]
    try:
        for op in reversed(event["ops"]):
            if op["action"] == "create":
                root = wrangler.del_record(root, op["path"])
            else:
                root = wrangler.put_record(root, op["path"], op["prev"])
    except KeyError:
        raise Verdict("the event's blocks are no sufficient proof of its operations") from None
    if event.get("prevData") is not None:
        require(root == event["prevData"], f"the inversion gives {text(root)}, prevData is {text(event['prevData'])}")
    else:
        require(event.get("since") is None, "a commit after the first without prevData")
    return commit


def _check_operation(op, blocks, store, root):
    action = op["action"]
    require(action in ("create", "update", "delete"), f"an operation {action!r}")
    require(("prev" in op and op["prev"] is not None) == (action != "create"), f"prev of a {action} is wrong")
    if action == "delete":
        require(op["cid"] is None, "a delete with a CID")
        require(lookup(store, root, op["path"]) is None, "a deleted record is still in the tree")
    else:
        require(op["cid"] in blocks, f"the record of {op['path']} is not in the event")
        canonical(blocks[op["cid"]])
        require(lookup(store, root, op["path"]) == op["cid"], f"the tree has another record at {op['path']}")


def lookup(store, root, path):
    """The CID at a path in a tree of which perhaps only a part is there."""
    cid = root
    while cid is not None:
        try:
            node = store.get_node(cid)
        except KeyError:
            raise Verdict(f"the path to {path} is not in the event") from None
        index = node.gte_index(path)
        if index < len(node.keys) and node.keys[index] == path:
            return node.vals[index]
        cid = node.subtrees[index]
    return None


def check_proof(car, did, key, path):
    """Judges a sync.getRecord answer; returns the record, or None where its absence is proved."""
    roots, listed = read_car(car)
    blocks = dict(listed)
    require(len(roots) == 1, f"{len(roots)} roots")
    commit = check_commit(blocks[roots[0]], did, key)
    store = NodeStore(MemoryBlockStore({bytes(cid): block for cid, block in blocks.items()}))
    cid = lookup(store, commit["data"], path)
    if cid is None:
        return None
    require(cid in blocks, "the proof lacks the record")
    return canonical(blocks[cid])
