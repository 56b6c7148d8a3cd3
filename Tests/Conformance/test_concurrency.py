"""Many writers at once: all land, each repository stays one valid chain."""

import threading

import firehose
import judge
import kith

WRITERS = 200


def write_all(server, clients, per_writer):
    """Each client writes on a connection of its own, all let go at the same moment; the acknowledgements."""
    gate = threading.Barrier(len(clients))

    def work(client):
        own = client.again()
        gate.wait()
        return [
            own.create("com.example.note", {"$type": "com.example.note", "index": index}).ok()
            for index in range(per_writer)
        ]

    return kith.in_threads(len(clients), clients, work)


def check(server, clients, answers, start):
    """Every acknowledged record is in the export, and each repository's events form one chain to its head."""
    follower_events = {client.did: [] for client in clients}
    heads = {client.did: client.head() for client in clients}
    waiting = {did: head["rev"] for did, head in heads.items()}

    def note(event):
        if event.kind == "#commit" and event.did in follower_events:
            follower_events[event.did].append(event.body)
            if waiting.get(event.did) == event.body["rev"]:
                del waiting[event.did]
        return not waiting

    events = firehose.read(server, start, note, limit_s=120)
    firehose.check_order(events)
    for client, paths in answers.items():
        key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
        repository = judge.check_repository(client.car(), client.did, key)
        assert repository.commit_cid == heads[client.did]["cid"]
        for answer in paths:
            assert repository.entries[answer["uri"].split("/", 3)[3]] == answer["cid"]
        revs = [body["rev"] for body in follower_events[client.did]]
        assert sorted({answer["commit"]["rev"] for answer in paths}) == revs
        data = None
        for body in follower_events[client.did]:
            commit = judge.check_commit_event(body, key)
            assert data is None or body["prevData"] == data
            data = commit["data"]
        assert judge.text(data) == repository.data


def last_seq(server):
    """The sequence number of the newest event."""
    probe = server.account()
    rev = probe.create("com.example.note", {"$type": "com.example.note"}).ok()["commit"]["rev"]
    return firehose.read_until_rev(server, 0, probe.did, rev)[-1].seq


def test_two_hundred_writers_to_one_repository(server):
    client = server.account()
    start = last_seq(server)
    answers = write_all(server, [client] * WRITERS, 2)
    flat = [answer for several in answers for answer in several]
    assert len({answer["uri"] for answer in flat}) == WRITERS * 2
    assert len({answer["commit"]["rev"] for answer in flat}) == WRITERS * 2
    check(server, [client], {client: flat}, start)


def test_two_hundred_repositories(server):
    clients = server.accounts(WRITERS)
    start = last_seq(server)
    answers = write_all(server, clients, 3)
    check(server, clients, dict(zip(clients, answers, strict=True)), start)


def test_one_winner_for_each_swap(server):
    """Of many that name the same head, exactly one lands; the others are told InvalidSwap and change nothing."""
    client = server.account()
    for _ in range(5):
        head = client.head()["cid"]
        gate = threading.Barrier(20)

        def work(index, head=head, gate=gate):
            own = client.again()
            gate.wait()
            return own.create("com.example.note", {"$type": "com.example.note", "index": index}, swapCommit=head)

        answers = kith.in_threads(20, range(20), work)
        winners = [answer for answer in answers if answer.status == 200]
        assert len(winners) == 1, [str(answer) for answer in answers if answer.status not in (200, 400)]
        assert {answer.error for answer in answers if answer.status != 200} == {"InvalidSwap"}
        assert client.head()["cid"] == winners[0].json["commit"]["cid"]


def test_one_winner_for_each_record_swap(server):
    client = server.account()
    first = client.put("com.example.note", "one", {"$type": "com.example.note", "index": 0}, swapRecord=None).ok()
    gate = threading.Barrier(20)

    def work(index):
        own = client.again()
        gate.wait()
        record = {"$type": "com.example.note", "index": 1 + index}
        return own.put("com.example.note", "one", record, swapRecord=first["cid"])

    answers = kith.in_threads(20, range(20), work)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 19
    assert {answer.error for answer in answers if answer.status == 400} == {"InvalidSwap"}


def test_reads_while_writing_are_of_one_moment(server):
    """An export taken under load is a whole, valid repository of some moment."""
    client = server.account()
    key = judge.signing_key(server.anonymous().raw("GET", f"/plc/{client.did}").ok())
    stop = threading.Event()

    def write(own):
        index = 0
        while not stop.is_set():
            index += 1
            own.create("com.example.note", {"$type": "com.example.note", "index": index}).ok()

    threads = [threading.Thread(target=write, args=(client.again(),), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        revs = [judge.check_repository(client.car(), client.did, key).rev for _ in range(20)]
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    assert revs == sorted(revs)


def test_one_last_use_of_an_invite(make_server):
    """A race for the last use of an invite admits exactly one."""
    server = make_server(KITH_INVITE_REQUIRED="true")
    admin = server.admin()
    code = admin.post("net.openfederation.invite.create", maxUses=1).json["code"]
    domain, gate = server.domain(), threading.Barrier(8)

    def work(name):
        client = server.anonymous()
        gate.wait()
        return client.post(
            "com.atproto.server.createAccount",
            handle=name + domain,
            email=f"{name}@mail.test",
            password=kith.PASSWORD,
            inviteCode=code,
        )

    answers = kith.in_threads(8, [kith.unique("race") for _ in range(8)], work)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7, [str(answer) for answer in answers]


def test_one_winner_for_a_name(server):
    domain, name, gate = server.domain(), kith.unique("name"), threading.Barrier(8)

    def work(index):
        client = server.anonymous()
        gate.wait()
        return client.post(
            "com.atproto.server.createAccount",
            handle=name + domain,
            email=f"{name}.{index}@mail.test",
            password=kith.PASSWORD,
        )

    answers = kith.in_threads(8, range(8), work)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7, [str(answer) for answer in answers]
    assert {answer.error for answer in answers if answer.status != 200} == {"HandleNotAvailable"}
