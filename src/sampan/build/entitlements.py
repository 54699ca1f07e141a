"""What a Dockerfile may only ask for if who builds says so: `--allow`.

`network.host` for RUN --network=host, `security.insecure` for RUN --security=insecure, `device` or
`device=NAME` for RUN --device. `build --network host` is said by who builds and needs no more.
"""

from __future__ import annotations

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.build.running import Process

NETWORK_HOST, INSECURE, DEVICE = "network.host", "security.insecure", "device"


class NotAllowed(errors.InvalidArgument):
    def __init__(self, what: str, entitlement: str) -> None:
        super().__init__(f"{what} is not allowed: build with --allow {entitlement}")


def known(allowed: Iterable[str]) -> None:
    """Raises InvalidArgument for what is none."""
    for text in allowed:
        if text not in (NETWORK_HOST, INSECURE) and text.partition("=")[0] != DEVICE:
            raise errors.InvalidArgument(
                f"unknown entitlement {text}: there are {NETWORK_HOST}, {INSECURE} and {DEVICE}"
            )


def check(process: Process, network: str, allowed: frozenset[str]) -> None:
    """`network` is that of the build's own request."""
    if process.insecure and INSECURE not in allowed:
        raise NotAllowed(INSECURE, INSECURE)
    if process.network == "host" != network and NETWORK_HOST not in allowed:
        raise NotAllowed(NETWORK_HOST, NETWORK_HOST)


def check_device(name: str, allowed: frozenset[str]) -> None:
    """`name` is vendor.com/class=device."""
    if not {DEVICE, f"{DEVICE}={name}"} & allowed:
        raise NotAllowed(f"the device {name}", f"{DEVICE}={name}")
