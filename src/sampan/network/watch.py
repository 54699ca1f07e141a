"""Hearing that somebody changed nftables, to put right what they broke.

`nft flush ruleset` in an administrator's reload takes our table along, and a dockerd that starts
after us makes FORWARD drop. The engine waits and reconciles; it writes nothing if all is right:

    with Watch() as watch:
        while True:
            await watch.changed()
            await firewall.reconcile(networks, published)

Our own changes are heard as well; that costs one look. iptables-legacy is not heard at all.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

_NETLINK_NETFILTER, _GROUP_NFTABLES = 12, 1 << 6  # NFNLGRP_NFTABLES is 7, groups are bits from 1
_QUIET = 0.1  # seconds without a change, after the first


class Watch:
    """Of the network namespace it is made in. `quiet`: seconds that end a burst of changes."""

    def __init__(self, *, quiet: float = _QUIET) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER)
        self._socket.bind((0, _GROUP_NFTABLES))
        self._quiet = quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def changed(self) -> None:
        """Return after a change, once a burst (iptables-restore, a dockerd's start) is over."""
        await self._hear()
        while True:
            try:
                async with asyncio.timeout(self._quiet):
                    await self._hear()
            except TimeoutError:
                return

    async def _hear(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_recv(self._socket, 1 << 16)
        except OSError as e:
            if e.errno != errno.ENOBUFS:  # so much happened that some was not kept for us
                raise
