"""The floor under createRecord, measured by floor.c with groups, records, nodes and frames as large as the server's.

The sizes come from frames of the run it is compared with, so that the comparison stays true when a commit changes.
"""

import json
import os
import pathlib
import statistics
import subprocess
import tempfile

from cbrrr import decode_dag_cbor

import firehose
import judge
import kith

SOURCE = pathlib.Path(__file__).with_name("floor.c")
SAMPLE = 1000


def sizes(server, client, commits):
    """Mean sizes of a commit, from the middle of the last `commits`: text, nodes, bytes of a node, bytes of the frame.

    Nodes are those that the commit made. A frame proves with more, which its repository's frame before held already.
    """
    with firehose.subscribe(server) as socket:
        client.create("app.bsky.feed.post", kith.post_record("the last")).ok()
        last = firehose.decode(socket.recv(timeout=30)).seq
    first = last - commits // 2 - SAMPLE // 2
    events = firehose.read(server, max(0, first), lambda event: event.seq >= first + SAMPLE)
    known, texts, counts, nodes, frames = {}, [], [], [], []
    for event in events:
        blocks = dict(judge.read_car(event.body["blocks"])[1])
        before, known[event.did] = known.get(event.did), blocks
        if before is None:
            continue
        values = {cid: decode_dag_cbor(block) for cid, block in blocks.items()}
        made = [len(blocks[cid]) for cid, value in values.items() if "e" in value and cid not in before]
        texts += [len(value["text"]) for value in values.values() if "text" in value]
        counts.append(len(made))
        nodes += made
        frames.append(len(event.raw))
    assert texts, f"no commits between {first} and {last}"
    return [round(statistics.fmean(one)) for one in (texts, counts, nodes, frames)]


def run(group, sizes, seconds, folder, threads):
    """What floor.c prints; its file lies in `folder`, which should be on the disk of the server's data."""
    with tempfile.TemporaryDirectory(prefix="kith-floor-", dir=folder) as place:
        program = os.path.join(place, "floor")
        options = ["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread"]
        subprocess.run(["cc", *options, "-o", program, str(SOURCE), "-lsecp256k1", "-lcrypto"], check=True)
        numbers = [str(number) for number in (seconds, threads, group, *sizes)]
        told = subprocess.check_output([program, os.path.join(place, "log"), *numbers], text=True)
    result = json.loads(told)
    result["rate"] = result["commits"] / result["seconds"]
    return result
