"""The Python package `atproto`, unchanged, as anybody would use it."""

import threading

import pytest
from atproto import CAR, Client, FirehoseSubscribeReposClient, models, parse_subscribe_repos_message
from atproto.exceptions import AtProtocolError, BadRequestError, UnauthorizedError

import kith

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e3660000"
    "000049454e44ae426082"
)


@pytest.fixture(scope="module")
def alice(server):
    return sign_up(server)


@pytest.fixture(scope="module")
def bob(server):
    return sign_up(server)


def sign_up(server):
    name = kith.unique("real")
    client = Client(server.base)
    domain = client.com.atproto.server.describe_server().available_user_domains[0]
    client.com.atproto.server.create_account(
        models.ComAtprotoServerCreateAccount.Data(
            handle=name + domain, email=f"{name}@mail.test", password=kith.PASSWORD
        )
    )
    sign_in(client, name + domain, kith.PASSWORD)
    return client


def sign_in(client, handle, password):
    """Signs in. The profile that the package would look up is made elsewhere, so the client is told who it is."""
    client.login(handle, password, fetch_bsky_profile=False)
    client.me = models.AppBskyActorDefs.ProfileViewDetailed(did=did(client), handle=handle)


def me(client):
    return client.com.atproto.server.get_session()


def did(client):
    return me(client).did


def records(client, collection):
    return client.com.atproto.repo.list_records({"repo": did(client), "collection": collection, "limit": 100}).records


def test_describe_server(alice):
    described = alice.com.atproto.server.describe_server()
    assert described.did.startswith("did:web:")
    assert all(domain.startswith(".") for domain in described.available_user_domains)


def test_session_survives_export(server, alice):
    other = Client(server.base)
    other.login(session_string=alice.export_session_string(), fetch_bsky_profile=False)
    assert did(other) == did(alice)
    assert me(other).active is not False


def test_login_as_its_documentation_shows_it(server, alice):
    """The plain `login` looks for a profile page that this server doesn't make; it must say so in the agreed way."""
    client = Client(server.base)
    handle = me(alice).handle
    with pytest.warns(UserWarning, match="profile"):
        client.login(handle, kith.PASSWORD)
    assert did(client) == did(alice)


def test_wrong_password(server, alice):
    with pytest.raises(UnauthorizedError):
        Client(server.base).login(me(alice).handle, "not it at all", fetch_bsky_profile=False)


def test_post_like_repost_follow_and_take_back(alice, bob):
    post = alice.send_post("Hello from the other side", langs=["en"])
    read = alice.get_post(post.uri.split("/")[-1], did(alice))
    assert read.value.text == "Hello from the other side" and read.cid == post.cid

    like = bob.like(post.uri, post.cid)
    repost = bob.repost(post.uri, post.cid)
    follow = bob.follow(did(alice))
    assert [one.uri for one in records(bob, "app.bsky.feed.like")] == [like.uri]
    assert [one.uri for one in records(bob, "app.bsky.feed.repost")] == [repost.uri]
    assert records(bob, "app.bsky.graph.follow")[0].value.subject == did(alice)

    assert bob.unlike(like.uri) and bob.unrepost(repost.uri) and bob.unfollow(follow.uri)
    assert alice.delete_post(post.uri)
    assert not records(bob, "app.bsky.feed.like") and not records(bob, "app.bsky.graph.follow")
    with pytest.raises(BadRequestError):
        alice.get_post(post.uri.split("/")[-1], did(alice))


def test_reply_with_facets(alice, bob):
    root = alice.send_post("The first of a thread")
    reference = models.create_strong_ref(root)
    text = "See https://example.com for more"
    reply = bob.send_post(
        text,
        reply_to=models.AppBskyFeedPost.ReplyRef(parent=reference, root=reference),
        facets=[
            models.AppBskyRichtextFacet.Main(
                index=models.AppBskyRichtextFacet.ByteSlice(byte_start=4, byte_end=23),
                features=[models.AppBskyRichtextFacet.Link(uri="https://example.com")],
            )
        ],
    )
    value = bob.get_post(reply.uri.split("/")[-1], did(bob)).value
    assert value.reply.root.cid == root.cid and value.facets[0].features[0].uri == "https://example.com"


def test_lists(alice, bob):
    created = alice.app.bsky.graph.list.create(
        did(alice),
        models.AppBskyGraphList.Record(
            name="Friends", purpose="app.bsky.graph.defs#curatelist", created_at=alice.get_current_time_iso()
        ),
    )
    item = alice.app.bsky.graph.listitem.create(
        did(alice),
        models.AppBskyGraphListitem.Record(list=created.uri, subject=did(bob), created_at=alice.get_current_time_iso()),
    )
    assert records(alice, "app.bsky.graph.list")[0].value.name == "Friends"
    assert records(alice, "app.bsky.graph.listitem")[0].uri == item.uri
    assert alice.app.bsky.graph.listitem.delete(did(alice), item.uri.split("/")[-1])
    assert not records(alice, "app.bsky.graph.listitem")


def test_pages_of_records(bob):
    made = {bob.send_post(f"number {index}").uri for index in range(7)}
    seen, cursor = [], None
    while True:
        page = bob.com.atproto.repo.list_records(
            {"repo": did(bob), "collection": "app.bsky.feed.post", "limit": 3, "cursor": cursor}
        )
        seen += [one.uri for one in page.records]
        cursor = page.cursor
        if not page.records or not cursor:
            break
    assert made <= set(seen) and len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=True)


def test_images(alice):
    post = alice.send_image("A picture", PNG, "one pixel")
    value = alice.get_post(post.uri.split("/")[-1], did(alice)).value
    blob = value.embed.images[0].image
    assert blob.mime_type == "image/png" and blob.size == len(PNG)
    assert alice.com.atproto.sync.get_blob({"did": did(alice), "cid": blob.ref.link}) == PNG
    assert blob.ref.link in alice.com.atproto.sync.list_blobs({"did": did(alice)}).cids


def test_profile_with_swap(alice):
    def put(name, swap):
        return alice.com.atproto.repo.put_record(
            models.ComAtprotoRepoPutRecord.Data(
                repo=did(alice),
                collection="app.bsky.actor.profile",
                rkey="self",
                swap_record=swap,
                record=models.AppBskyActorProfile.Record(display_name=name),
            )
        )

    first = put("Alice", None)
    second = put("Alice the Second", first.cid)
    with pytest.raises(BadRequestError) as refused:
        put("Alice the Third", first.cid)
    assert refused.value.response.content.error == "InvalidSwap"
    now = alice.app.bsky.actor.profile.get(did(alice), "self")
    assert now.cid == second.cid and now.value.display_name == "Alice the Second"


def test_apply_writes(bob):
    def create(index):
        return models.ComAtprotoRepoApplyWrites.Create(
            collection="app.bsky.feed.post",
            value=models.AppBskyFeedPost.Record(text=f"many {index}", created_at=bob.get_current_time_iso()),
        )

    done = bob.com.atproto.repo.apply_writes(
        models.ComAtprotoRepoApplyWrites.Data(repo=did(bob), writes=[create(index) for index in range(5)])
    )
    assert len(done.results) == 5 and all(result.validation_status == "valid" for result in done.results)
    keys = [result.uri.split("/")[-1] for result in done.results]
    bob.com.atproto.repo.apply_writes(
        models.ComAtprotoRepoApplyWrites.Data(
            repo=did(bob),
            writes=[models.ComAtprotoRepoApplyWrites.Delete(collection="app.bsky.feed.post", rkey=key) for key in keys],
        )
    )


def test_resolve_and_change_handle(server, alice):
    before = me(alice).handle
    assert alice.resolve_handle(before).did == did(alice)
    after = kith.unique("moved") + server.domain()
    alice.update_handle(after)
    assert alice.resolve_handle(after).did == did(alice)
    with pytest.raises(AtProtocolError):
        alice.resolve_handle(before)


def test_describe_repo(alice):
    described = alice.com.atproto.repo.describe_repo({"repo": did(alice)})
    assert described.did == did(alice) and described.handle_is_correct
    assert "app.bsky.actor.profile" in described.collections
    assert described.did_doc["id"] == did(alice)


def test_app_password(server, alice):
    made = alice.com.atproto.server.create_app_password({"name": "phone"})
    phone = Client(server.base)
    sign_in(phone, me(alice).handle, made.password)
    phone.send_post("from the phone")
    with pytest.raises(AtProtocolError):
        phone.com.atproto.server.create_app_password({"name": "another"})
    assert [one.name for one in alice.com.atproto.server.list_app_passwords().passwords] == ["phone"]
    alice.com.atproto.server.revoke_app_password({"name": "phone"})
    with pytest.raises(AtProtocolError):
        Client(server.base).login(me(alice).handle, made.password, fetch_bsky_profile=False)


def test_repository_download(alice):
    archive = CAR.from_bytes(alice.com.atproto.sync.get_repo({"did": did(alice)}))
    latest = alice.com.atproto.sync.get_latest_commit({"did": did(alice)})
    assert str(archive.root) and archive.blocks
    assert latest.rev


def test_firehose(server, alice):
    """Every commit decodes with the package's own models, from the very first event of the server on."""
    uri = alice.send_post("the last word").uri
    consumer = FirehoseSubscribeReposClient(
        models.ComAtprotoSyncSubscribeRepos.Params(cursor=0), base_uri=f"ws://localhost:{server.port}/xrpc"
    )
    seen, failures = [], []

    def receive(message):
        commit = parse_subscribe_repos_message(message)
        seen.append(type(commit).__name__)
        if isinstance(commit, models.ComAtprotoSyncSubscribeRepos.Commit):
            archive = CAR.from_bytes(commit.blocks)
            for op in commit.ops:
                if op.action in ("create", "update"):
                    block = archive.blocks[op.cid]
                    if op.path.startswith("app.bsky."):
                        assert models.get_or_create(block, strict=False).py_type == op.path.split("/")[0]
                if f"at://{commit.repo}/{op.path}" == uri:
                    consumer.stop()

    def on_failure(failure):
        failures.append(failure)
        consumer.stop()

    thread = threading.Thread(target=consumer.start, args=(receive, on_failure), daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), f"the post never came; {len(seen)} events"
    assert not failures, failures
    assert {"Commit", "Identity", "Account"} <= set(seen)


def test_sign_out(server):
    client = sign_up(server)
    session = client.export_session_string()
    refresh = session.split(":::")[3]
    client.com.atproto.server.delete_session(headers={"Authorization": f"Bearer {refresh}"})
    with pytest.raises(AtProtocolError):
        client.com.atproto.server.refresh_session(headers={"Authorization": f"Bearer {refresh}"})
