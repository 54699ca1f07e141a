"""Hearing that somebody changed nftables, to put right what they broke.

`nft flush ruleset` in an administrator's reload takes our table along, and a dockerd that starts
after us makes FORWARD drop. The engine waits and reconciles; it writes nothing if all is right:

    with Watch() as watch:
        while True:
            await watch.changed()
            await firewall.reconcile(networks, published)

Our own changes are passed over, by the process that each generation of the rules names
(nf_tables.h, NFTA_GEN_PROC_PID). iptables-legacy is not heard at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from sampan.linux.netlink import NETLINK_NETFILTER, attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_GROUP_NFTABLES = 1 << 6  # NFNLGRP_NFTABLES is 7, groups are bits from 1
_NEW_GENERATION = 10 << 8 | 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN: the end of each transaction
_PROCESS = 2  # NFTA_GEN_PROC_PID
_HEADERS = 16, 4  # bytes of nlmsghdr and nfgenmsg
_QUIET = 0.1  # seconds after a change, for the others of a burst


class Watch:
    """Of the network namespace it is made in. `quiet`: seconds after a change until it is told."""

    def __init__(self, *, quiet: float = _QUIET) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        self._socket.bind((0, _GROUP_NFTABLES))
        self._quiet = quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    async def changed(self) -> None:
        """Return after a change, and what came right after it (iptables-restore, a dockerd)."""
        while not await self._hear():
            pass
        await asyncio.sleep(self._quiet)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._read()

    async def _hear(self) -> bool:
        """Whether somebody else changed something."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket, heard.set)
        try:
            await heard.wait()
        finally:
            loop.remove_reader(self._socket)
        return self._read()

    def _read(self) -> bool:
        try:
            data = self._socket.recv(1 << 16)
        except OSError as e:
            if e.errno != errno.ENOBUFS:  # so much happened that some was not kept for us
                raise
            return True
        return any(process != os.getpid() for process in _processes(data))


def _processes(data: bytes) -> Iterator[int]:
    """Who made each new generation that these messages tell of."""
    while len(data) > sum(_HEADERS):
        size, kind = struct.unpack_from("=IH", data)
        if kind == _NEW_GENERATION:
            values = dict(attributes(data[sum(_HEADERS) : size]))
            yield int.from_bytes(values.get(_PROCESS, b""), "big")
        data = data[size + -size % 4 :]
