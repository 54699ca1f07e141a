"""Queueing disciplines: how fast a link sends (tc(8), tc-tbf(8))."""

from __future__ import annotations

import struct

from sampan.linux.netlink._wire import CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request, attribute, nested

_RTM_NEWQDISC = 36
_TCA_KIND, _TCA_OPTIONS = 1, 2
_TBF_PARMS, _TBF_RATE64, _TBF_BURST = 1, 4, 6
_ROOT = 0xFFFFFFFF  # TC_H_ROOT
_MESSAGE = struct.Struct("=BxxxiIII")  # struct tcmsg: family, index, handle, parent, info
_RATE = struct.Struct("=BBHhHI")  # struct tc_ratespec: cell_log, linklayer, overhead, …, rate
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: the kernel computes, no table of ours is needed
_WAIT = 0.05  # seconds of data that may queue
_BURST = 1 << 16  # bytes: the largest segment that the kernel offloads


def replace_tbf(name: str, index: int, rate: int) -> Request:
    """What link `index` sends is held to `rate` bytes a second from now on."""
    burst = max(_BURST, rate // 100)  # ten milliseconds
    spec = _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, 0xFFFFFFFF))
    parameters = spec + bytes(_RATE.size) + struct.pack("=III", burst + int(rate * _WAIT), 0, 0)
    options = attribute(_TBF_PARMS, parameters) + attribute(_TBF_BURST, struct.pack("=I", burst))
    if rate > 0xFFFFFFFF:
        options += attribute(_TBF_RATE64, struct.pack("=Q", rate))
    body = _MESSAGE.pack(0, index, 0, _ROOT, 0)
    body += attribute(_TCA_KIND, b"tbf\0") + nested(_TCA_OPTIONS, options)
    flags = CREATE & ~NLM_F_EXCL | NLM_F_REPLACE
    return Request(type=_RTM_NEWQDISC, flags=flags, body=body, what=f"limit the rate of {name}")
