"""Small texts of Docker's API that mean numbers: octal modes, sizes, ports, signals."""

from __future__ import annotations

import re
import signal
import time

from sampan.kit import clock, errors

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def size(text: str | int) -> int:
    """Bytes: `64m`, `1.5GiB`, `1024`."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise errors.InvalidArgument(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def signal_number(name: str | int | None, default: int = signal.SIGTERM) -> int:
    """`SIGTERM`, `term`, `15`, `RTMIN+3`; an unknown one is InvalidArgument."""
    text = str(name or "").strip().upper()
    if not text:
        return int(default)
    if text.isdecimal():
        if 0 < int(text) <= 64:
            return int(text)
        if not int(text):
            raise errors.InvalidArgument(f"Invalid signal: {name}")
    else:
        text = text.removeprefix("SIG")
        base, plus, offset = text.partition("+")
        base, minus, back = (base, "", "0") if plus else text.partition("-")
        try:
            number = int(signal.Signals[f"SIG{base}"])
            number += int(offset) if plus else -int(back) if minus else 0
            if 0 < number <= 64:
                return number
        except (KeyError, ValueError):
            pass
        raise errors.InvalidArgument(f"Invalid signal: {name}")
    raise errors.InvalidArgument(f"the linux daemon does not support signal {int(text)}")


def port(text: str) -> tuple[int, str]:
    """`80/tcp` → (80, "tcp"); without a protocol, tcp."""
    number, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise errors.InvalidArgument(f"invalid port specification: '{text}'")
    if protocol not in ("tcp", "udp", "sctp"):
        raise errors.InvalidArgument(f"invalid port specification: unknown protocol '{protocol}'")
    return int(number), protocol


def moment(text: str) -> int:
    """`until=` and the like: RFC 3339, seconds since 1970, or a duration ago (`10m`, `1h30m`)."""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return int(float(text) * 1e9)
    units = {"h": 3600, "m": 60, "s": 1}
    if re.fullmatch(r"([0-9]+[hms])+", text):
        seconds = sum(int(n) * units[unit] for n, unit in re.findall(r"([0-9]+)([hms])", text))
        return time.time_ns() - seconds * 10**9
    try:
        return clock.parse(text)
    except ValueError:
        raise errors.InvalidArgument(
            f'failed to parse value as time or duration: "{text}"'
        ) from None
