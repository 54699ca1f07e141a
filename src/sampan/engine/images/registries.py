"""The registry room's client as the engine sets it up: its hosts, and its own user for mirrors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.registry import credentials
from sampan.registry.client import Client

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.registry.auth import Credentials
    from sampan.spec.reference import Reference


def client(engine: Engine, wanted: Reference, known: Credentials | None) -> Client:
    """`known` came with the request; it goes to the registry itself and never to a mirror."""
    return Client(wanted, credentials=known, of_mirror=credentials.find, hosts=engine.registries)
