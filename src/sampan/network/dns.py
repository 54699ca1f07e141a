"""The door of a container's name server: sockets at 127.0.0.11 in its network namespace.

They are on ports that the kernel chose, and one nft table there translates 127.0.0.11:53 to them:
so a container may have a name server of its own on port 53. Whoever holds the sockets may serve
them; `shim.resolver` does. They keep the namespace (and so the veth pair) alive.

    sockets = open_sockets(netns)      # again, where the holder has died: the new ones take over
"""

from __future__ import annotations

import errno
import socket

from sampan.kit.record import Record
from sampan.linux import netns as namespaces
from sampan.linux.nft import Nft, Refused
from sampan.network.files import EMBEDDED

_TABLE = """\
create table ip sampan_dns
add chain ip sampan_dns output {{ type nat hook output priority -100; policy accept; }}
add rule ip sampan_dns output ip daddr {address} udp dport 53 dnat to {address}:{udp}
add rule ip sampan_dns output ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
"""


class Sockets(Record):
    udp: socket.socket
    tcp: socket.socket

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()


def open_sockets(netns: int) -> Sockets:
    """Bound sockets in the namespace, and the translation of port 53 to them.

    `lo` must be up there. Raises OSError.
    """
    with namespaces.entered(netns):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            for sock in (udp, tcp):
                sock.setblocking(False)
                sock.bind((EMBEDDED, 0))
            tcp.listen()
            nft = Nft()
        except BaseException:
            udp.close()
            tcp.close()
            raise
    try:
        ports = {"udp": udp.getsockname()[1], "tcp": tcp.getsockname()[1]}
        _translate(nft, _TABLE.format(address=EMBEDDED, **ports))
    except BaseException:
        udp.close()
        tcp.close()
        raise
    finally:
        nft.close()
    return Sockets(udp=udp, tcp=tcp)


def _translate(nft: Nft, table: str) -> None:
    try:
        nft.run(table)
    except Refused as refused:
        if refused.errno != errno.EEXIST:
            raise
        # A former engine's. Deleting costs 20 ms: closing the context waits for the kernel's
        # readers (nf_tables_trans_destroy_flush_work), so a fresh namespace is spared it.
        nft.run("delete table ip sampan_dns\n" + table)
