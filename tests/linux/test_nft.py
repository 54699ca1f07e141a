import os

import pytest

from sampan.linux import _libc, netns
from sampan.linux.nft import Nft, Refused

pytestmark = pytest.mark.needs("netns", "nft")


@pytest.fixture
def nft():
    """A context in a network namespace of our own: it stays in the one it was made in."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _libc.unshare(netns.CLONE_NEWNET)
        context = Nft()
    finally:
        _libc.setns(here, netns.CLONE_NEWNET)
        os.close(here)
    yield context
    context.close()


def test_commands_are_one_transaction(nft):
    with pytest.raises(Refused):
        nft.run("add table ip a\nadd chain ip nowhere c")
    assert nft.run("list ruleset") == ""
    nft.run("add table ip a; add chain ip a c")
    assert nft.run("list ruleset") == "table ip a {\n\tchain c {\n\t}\n}\n"


def test_lists_are_objects(nft):
    assert nft.list("list ruleset") == []
    nft.run("add table ip a; add chain ip a c")
    assert [next(iter(item)) for item in nft.list("list table ip a")] == ["table", "chain"]


def test_errors_carry_the_kernels_number_and_the_commands(nft):
    with pytest.raises(Refused, match="nft: No such file or directory") as caught:
        nft.list("list table ip nowhere")
    assert caught.value.errno == 2
    assert caught.value.commands == "list table ip nowhere"
    with pytest.raises(Refused, match="syntax error") as caught:
        nft.run("nonsense")
    assert caught.value.errno == 22
