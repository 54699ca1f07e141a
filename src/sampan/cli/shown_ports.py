"""Published ports as `ps` shows them: `0.0.0.0:8080->80/tcp, 443/tcp`, neighbours joined."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show(ports: list[dict[str, Any]] | None) -> str:
    groups: dict[tuple[str, str], list[int]] = {}
    done: list[str] = []
    mapped: list[str] = []
    for port in sorted(ports or (), key=_order):
        private, public = int(port["PrivatePort"]), int(port.get("PublicPort") or 0)
        address, protocol = str(port.get("IP") or ""), str(port["Type"])
        if public and public != private:
            mapped.append(f"{join(address, public)}->{private}/{protocol}")
            continue
        key = (address if public else "", protocol)
        ends = groups.get(key)
        if ends is None:
            groups[key] = [private, private]
        elif private == ends[1] + 1:
            ends[1] = private
        elif private != ends[1]:
            done.append(_group(key, ends))
            groups[key] = [private, private]
    done += [_group(key, ends) for key, ends in groups.items()]
    return ", ".join(done + mapped)


def _order(port: dict[str, Any]) -> tuple[int, str, int, str]:
    return (
        int(port["PrivatePort"]),
        str(port.get("IP") or ""),
        int(port.get("PublicPort") or 0),
        str(port["Type"]),
    )


def _group(key: tuple[str, str], ends: list[int]) -> str:
    address, protocol = key
    first, last = ends
    numbers = str(first) if first == last else f"{first}-{last}"
    if address:
        return f"{join(address, numbers)}->{numbers}/{protocol}"
    return f"{numbers}/{protocol}"


def join(address: str, port: int | str) -> str:
    """`0.0.0.0:80`, `[::]:80`."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
