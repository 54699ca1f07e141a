"""A policy's names: what the resolver has answered for one may be reached from then on.

The sets stand in the container's namespace (`network.policy`), which is that of the socket at
127.0.0.11; an address leaves them when its TTL is over, but not before five minutes: clients keep
what they looked up, and answers of an open connection pass anyway.
"""

from __future__ import annotations

import fcntl
import os
import sys

from sampan.kit import errors
from sampan.linux import netns
from sampan.linux.nft import Nft
from sampan.network import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

_SIOCGSKNS = 0x894C  # a descriptor of a socket's network namespace (socket(7))
_LEAST, _MOST = 300, 86400  # seconds


def addresses(sock: socket.socket, sets: Sequence[str], found: Iterable[tuple[str, int]]) -> None:
    """Put (address, TTL) into each of these sets. A failure is said on stderr: refused is safe."""
    lines = []
    for address, ttl in found:
        seconds = min(max(ttl, _LEAST), _MOST)
        for name in sets:
            where = f"inet {policy.TABLE} {name}{6 if ':' in address else 4}"
            # An element that stands keeps its timeout when it is added again: it goes first.
            lines.append(f"add element {where} {{ {address} }}\n")
            lines.append(f"delete element {where} {{ {address} }}\n")
            lines.append(f"add element {where} {{ {address} timeout {seconds}s }}\n")
    if not lines:
        return
    try:
        _run(sock, "".join(lines))
    except (errors.SampanError, OSError) as failure:
        print(f"cannot let a container reach a name: {failure}", file=sys.stderr, flush=True)


def _run(sock: socket.socket, commands: str) -> None:
    namespace = fcntl.ioctl(sock, _SIOCGSKNS)
    try:
        with netns.entered(namespace):
            nft = Nft()
    finally:
        os.close(namespace)
    try:
        nft.run(commands)
    finally:
        nft.close()
