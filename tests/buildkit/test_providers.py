"""Secrets, agents and credentials come from the client, asked from the build's threads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from sampan.build.providers import NoSuchAgent, NoSuchSecret
from sampan.buildkit import credentials, messages, providers, sessions
from sampan.registry.auth import Credentials

from .client import Client, session

SSH = "/moby.sshforward.v1.SSH/"


async def secret(_: Any, request: dict[str, Any]) -> dict[str, Any]:
    if request["ID"] != "tok":
        raise GRPCError(Status.NOT_FOUND, "secret not found")
    return {"data": b"s3cret"}


async def check(_: Any, request: dict[str, Any]) -> dict[str, Any]:
    if request["ID"] != "default":
        raise GRPCError(Status.UNKNOWN, "unset ssh forward key")
    return {}


async def agent(stream: Any) -> None:
    assert stream.metadata["buildkit.ssh.id"] == "default"
    async for message in stream:
        await stream.send_message({"data": message["data"].upper()})


async def login(_: Any, request: dict[str, Any]) -> dict[str, Any]:
    known = {
        "registry-1.docker.io": {"Username": "me", "Secret": "pw"},
        "token.example": {"Secret": "identity"},
    }
    return known.get(request["Host"], {})


def full() -> Client:
    client = Client()
    service = client.service
    about = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
    service.unary(about, messages.SECRET, messages.DATA, secret)
    service.unary(SSH + "CheckAgent", messages.AGENT, messages.EMPTY, check)
    service.streaming(SSH + "ForwardAgent", messages.DATA, messages.DATA, agent)
    about = "/moby.filesync.v1.Auth/Credentials"
    service.unary(about, messages.HOST, messages.CREDENTIALS, login)
    return client


def ask(client: Client, question: Callable[[sessions.Session], Callable[[], Any]]) -> Any:
    """What a build's thread hears."""

    async def work() -> Any:
        async with session(client) as caller:
            return await asyncio.to_thread(question(caller))

    return asyncio.run(work())


def test_a_secret_is_fetched_by_its_id() -> None:
    assert ask(full(), lambda s: partial(providers.Secrets(s).get, "tok")) == b"s3cret"


@pytest.mark.parametrize(("client", "ident"), [(full(), "other"), (Client(), "tok")])
def test_a_secret_that_the_client_has_not_is_named(client: Client, ident: str) -> None:
    with pytest.raises(NoSuchSecret, match=f"secret {ident}: not found"):
        ask(client, lambda s: partial(providers.Secrets(s).get, ident))


def test_an_agents_socket_carries_both_ways_until_either_ends() -> None:
    def talk(agents: providers.Agents) -> bytes:
        with agents.get("default") as sock:
            sock.settimeout(20)
            sock.sendall(b"sign ")
            answer = sock.recv(100)
            sock.sendall(b"this")
            sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(100):
                answer += data
            return answer

    assert ask(full(), lambda s: partial(talk, providers.Agents(s))) == b"SIGN THIS"


@pytest.mark.parametrize(("client", "ident"), [(full(), "other"), (Client(), "default")])
def test_an_agent_that_the_client_has_not_is_named(client: Client, ident: str) -> None:
    with pytest.raises(NoSuchAgent, match=f"ssh agent {ident}: not found"):
        ask(client, lambda s: partial(providers.Agents(s).get, ident))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("busybox", Credentials(username="me", password="pw")),
        ("token.example/a/b:1", Credentials(identity_token="identity")),
        ("other.example/a", None),
    ],
)
def test_the_client_says_who_it_is_at_a_registry(name: str, known: Credentials | None) -> None:
    async def work(client: Client, *, says: bool = True) -> Credentials | None:
        async with session(client) as caller:
            if not says:  # what it offers, as dockerode's does not
                caller = sessions.Session(sessions.Hello(id="s"), caller.channel)
            return await credentials.ask(caller, name)

    assert asyncio.run(work(full())) == known
    assert asyncio.run(work(full(), says=False)) == known
    assert asyncio.run(work(Client())) is None
