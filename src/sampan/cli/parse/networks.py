"""`--network NAME` or `--network name=NAME,alias=…,ip=…,ip6=…,mac-address=…,driver-opt=K=V`."""

from __future__ import annotations

from sampan.cli.parse import csv, ip
from sampan.kit.record import Record


class Attachment(Record):
    name: str
    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    link_local: tuple[str, ...] = ()
    mac_address: str = ""
    driver_options: tuple[tuple[str, str], ...] = ()
    priority: int = 0
    long: bool = False  # written as key=value


def parse(text: str) -> Attachment:
    if "=" not in text:
        if not text:
            raise ValueError("the network's name is empty")
        return Attachment(name=text)
    plain = {"name": "", "ip": "", "ip6": "", "mac-address": "", "gw-priority": "0"}
    lists: dict[str, list[str]] = {"alias": [], "link-local-ip": [], "driver-opt": []}
    for key, value in csv.pairs(text):
        if key in plain:
            plain[key] = value.strip()
        elif key in lists:
            lists[key].append(value.strip())
        else:
            raise ValueError(f"invalid field key {key}")
    if not plain["name"]:
        raise ValueError("network name/id is not specified")
    for address in filter(None, (plain["ip"], plain["ip6"], *lists["link-local-ip"])):
        ip.check(address)
    if not plain["gw-priority"].lstrip("-").isdecimal():
        raise ValueError(f"invalid gw-priority ({plain['gw-priority']})")
    options = [item.partition("=") for item in lists["driver-opt"]]
    if any(not equals for _, equals, _ in options):
        raise ValueError("invalid key value pair format in driver options")
    return Attachment(
        name=plain["name"],
        aliases=tuple(lists["alias"]),
        ip=plain["ip"],
        ip6=plain["ip6"],
        link_local=tuple(lists["link-local-ip"]),
        mac_address=plain["mac-address"],
        driver_options=tuple((key, value) for key, _, value in options),
        priority=int(plain["gw-priority"]),
        long=True,
    )
