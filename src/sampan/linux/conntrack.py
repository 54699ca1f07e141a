"""Dropping connection tracking entries through ctnetlink (linux/netfilter/nfnetlink_conntrack.h).

One message with a filter deletes every entry that matches (kernel 5.8 and later). Older kernels
refuse it, and a host without connection tracking has nothing to forget: both are no error here.
"""

from __future__ import annotations

import errno
import socket
import struct

from sampan.linux import netlink

_CT_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
_TUPLE_ORIG, _TUPLE_REPLY, _FILTER = 1, 2, 25  # enum ctattr_type
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_V4_SRC, _IP_V6_SRC = 1, 3
_PROTO_NUM, _PROTO_DST_PORT = 1, 3
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_F_IP_SRC, _F_PROTO_NUM, _F_PROTO_DST_PORT = 1 << 0, 1 << 3, 1 << 5


def flush_address(address: str) -> None:
    """Forget every flow that is answered from this address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = _IP_V6_SRC if ":" in address else _IP_V4_SRC
    ip = netlink.nested(_TUPLE_IP, netlink.attribute(kind, socket.inet_pton(family, address)))
    body = netlink.nested(_TUPLE_REPLY, ip) + _filter(0, _F_IP_SRC)
    _delete(body, f"flows to {address}", family)


def flush_udp_port(port: int) -> None:
    """Forget every UDP flow that was sent to this port, whatever became of it."""
    number = netlink.attribute(_PROTO_NUM, bytes([socket.IPPROTO_UDP]))
    number += netlink.attribute(_PROTO_DST_PORT, struct.pack(">H", port))
    body = netlink.nested(_TUPLE_ORIG, netlink.nested(_TUPLE_PROTO, number))
    body += _filter(_F_PROTO_NUM | _F_PROTO_DST_PORT, 0)
    for family in (socket.AF_INET, socket.AF_INET6):
        _delete(body, f"flows to udp port {port}", family)


def _filter(orig: int, reply: int) -> bytes:
    flags = netlink.attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", orig))
    flags += netlink.attribute(_FILTER_REPLY_FLAGS, struct.pack("=I", reply))
    return netlink.nested(_FILTER, flags)


def _delete(body: bytes, what: str, family: int) -> None:
    head = struct.pack(">BBH", family, 0, 0)  # struct nfgenmsg
    request = netlink.Request(type=_CT_DELETE, body=head + body, what=f"forget {what}")
    with netlink.Socket(netlink.NETLINK_NETFILTER) as sock:
        try:
            sock.send(request)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP):
                raise
