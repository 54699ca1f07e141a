"""`-p`: `[IP:][HOST_PORT[-END]:]CONTAINER_PORT[-END][/PROTOCOL]`, or `target=80,published=8080`."""

from __future__ import annotations

from sampan.cli.parse import csv, ip
from sampan.kit.record import Record

PROTOCOLS = ("tcp", "udp", "sctp")


class Published(Record):
    port: str  # "80/tcp"
    host_ip: str = ""
    host_port: str = ""  # "", "8080", or "8000-8010": any of them


def parse(text: str) -> list[Published]:
    """All the ports that one `-p` publishes."""
    if "=" in text:
        return _parse_long(text)
    rest, slash, protocol = text.partition("/")
    head, _, container = rest.rpartition(":")
    host_ip, host = _split_head(head, text)
    if slash and not protocol:
        raise ValueError("the protocol is missing after /")
    return _expand(host_ip, host, container, protocol or "tcp")


def _split_head(head: str, text: str) -> tuple[str, str]:
    """What stands before the container's port, as (address, host port)."""
    if not head:
        return "", ""
    if head.startswith("["):
        address, bracket, rest = head[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("the IPv6 address has no closing ]")
        return _address(address), rest[1:]
    if head.count(":") > 1 and text.count(":") > 3:
        address, _, host = head.rpartition(":")
        return _address(address), host
    if ":" in head:
        address, _, host = head.rpartition(":")
        return _address(address), host
    return ("", head) if "." not in head else (_address(head), "")


def _address(text: str) -> str:
    try:
        return ip.check(text) if text else ""
    except ValueError:
        raise ValueError(f"invalid IP address: {text}") from None


def _expand(host_ip: str, host: str, container: str, protocol: str) -> list[Published]:
    if protocol.lower() not in PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    if not container:
        raise ValueError("no port specified for the container")
    first, last = port_range(container, "containerPort")
    if host:
        host_first, host_last = port_range(host, "hostPort")
        if host_last - host_first != last - first:
            if last != first:
                raise ValueError(
                    f"the ranges {host} and {container} differ in length (host and container ports)"
                )
            return [Published(port=f"{first}/{protocol.lower()}", host_ip=host_ip, host_port=host)]
    else:
        host_first = 0
    return [
        Published(
            port=f"{first + i}/{protocol.lower()}",
            host_ip=host_ip,
            host_port=str(host_first + i) if host else "",
        )
        for i in range(last - first + 1)
    ]


def port_range(text: str, what: str) -> tuple[int, int]:
    """`80` or `80-90` as its ends."""
    first, dash, last = text.partition("-")
    if not _is_port(first) or (dash and not _is_port(last)):
        raise ValueError(f"invalid {what}: {text}")
    if dash and int(last) < int(first):
        raise ValueError(f"invalid {what}: {text} ends before it begins")
    return int(first), int(last) if dash else int(first)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) < 65536


def _parse_long(text: str) -> list[Published]:
    fields = {"protocol": "tcp", "target": "", "published": "", "mode": ""}
    for key, value in csv.pairs(text):
        if key not in fields:
            raise ValueError(f"invalid field key: {key}")
        fields[key] = value
    return _expand("", fields["published"], fields["target"], fields["protocol"])
