"""Fixtures: one server shared by the tests that leave it as it was, and servers of their own for the others."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import kith


@pytest.fixture(scope="session")
def server():
    """A development server that every test of the session may use, and none may stop."""
    yield from _running(kith.Server())


@pytest.fixture
def own_server():
    """A development server for one test, which may kill it and start it again."""
    yield from _running(kith.Server())


@pytest.fixture
def make_server():
    """Makes servers with settings and flags of their own: `make_server(KITH_INVITE_REQUIRED="true")`."""
    made = []

    def make(data=None, start=True, arguments=(), **environment):
        server = kith.Server(data, environment, arguments)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        server.remove()


@pytest.fixture
def account(server):
    return server.account()


@pytest.fixture
def anonymous(server):
    return server.anonymous()


def _running(server):
    server.start()
    yield server
    assert server.alive(), f"the server died:\n{server.log_tail()}"
    server.remove()
