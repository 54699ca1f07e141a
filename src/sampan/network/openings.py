"""Rules of ours in other people's forward chains.

An accept in our table does not overrule a drop in another base chain at the same hook, and a host
with dockerd (or ufw) has `iptables -P FORWARD DROP`. So each bridge gets two accept rules at the
head of that table's DOCKER-USER chain, which dockerd promises to leave alone, or else of FORWARD;
each carries our table's name as its comment, by which it is found, kept or removed. What may pass
is still decided by our own table's forward chain. firewalld rejects what none of its zones lets
through, so its filter_FORWARD has them, too; its reload takes them away, which the engine hears
(`watch`), and a table that it keeps for itself (NftablesTableOwner) is left, which the doctor says.

iptables has two back ends, and a host may use both: iptables-nft's tables are plain nft tables;
iptables-legacy's are reached through its program, and only where the kernel has such a table.
"""

from __future__ import annotations

import errno
import subprocess
from typing import TYPE_CHECKING, Any

from sampan.kit.threads import in_thread
from sampan.linux import nft as nftables
from sampan.network import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sampan.linux.nft import Nft

    Opening = tuple[str, str, str]  # chain, "iifname" or "oifname", bridge

_CHAINS = (("ip", "filter", "FORWARD"), ("ip6", "filter", "FORWARD"),
           ("inet", "firewalld", "filter_FORWARD"))  # fmt: skip
_LEGACY = {"ip": "iptables-legacy", "ip6": "ip6tables-legacy"}
_FLAGS = {"-i": "iifname", "-o": "oifname"}


async def reconcile(nft: Nft, tag: str, bridges: Iterable[str]) -> None:
    """Let these bridges through, and no others that carry our tag."""
    bridges = list(bridges)
    for family, table, chain in _CHAINS:
        _reconcile_nft(nft, f"{family} {table}", chain, tag, bridges)
    for family in _LEGACY:
        if _has_legacy(family):
            await in_thread(_reconcile_legacy, family, tag, bridges)


def legacy_present() -> bool:
    """Whether the kernel has an iptables-legacy filter table here."""
    return any(map(_has_legacy, _LEGACY))


def legacy_forward() -> dict[str, str]:
    """What iptables-legacy says about FORWARD, by family; nothing where there is none."""
    found = {}
    for family, program in _LEGACY.items():
        if _has_legacy(family):
            try:
                found[family] = _legacy(program, "-S")
            except FileNotFoundError:
                pass
    return found


def _has_legacy(family: str) -> bool:
    try:
        with open(f"/proc/net/{family}_tables_names") as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def _reconcile_nft(nft: Nft, table: str, chain: str, tag: str, bridges: list[str]) -> None:
    try:
        listed = nft.list(f"list table {table}")
    except nftables.Refused as e:
        if e.errno == errno.ENOENT:
            return
        raise errors.NetworkUnavailable(f"cannot read the table {table}: {e.strerror}") from e
    chains = {item["chain"]["name"]: item["chain"] for item in listed if "chain" in item}
    rules = [item["rule"] for item in listed if "rule" in item]
    own = [rule for rule in rules if rule["chain"] == chain]
    drops = chains.get(chain, {}).get("policy") == "drop" or ends_closed(own)
    jumps = {_jump(rule) for rule in own}
    target = "DOCKER-USER" if "DOCKER-USER" in jumps else chain
    want = _wanted(target, bridges) if drops else set()
    lines = []
    for rule in rules:
        if rule.get("comment") != tag:
            continue
        opening = (rule["chain"], *_interface(rule))
        if opening in want:
            want.remove(opening)
        else:
            lines.append(f"delete rule {table} {rule['chain']} handle {rule['handle']}\n")
    for where, match, bridge in sorted(want):
        lines.append(
            f'insert rule {table} {where} {match} "{bridge}" counter accept comment "{tag}"\n'
        )
    if not lines:
        return
    try:
        nft.run("".join(lines))
    except nftables.Refused as e:
        if e.errno == errno.EPERM:
            return  # its owner's alone
        raise errors.NetworkUnavailable(f"cannot change the table {table}: {e.strerror}") from e


def ends_closed(rules: Sequence[dict[str, Any]]) -> bool:
    """Whether what comes to a chain's end, by its last rule, is dropped or rejected."""
    last = rules[-1]["expr"] if rules else []
    words = [next(iter(e)) if isinstance(e, dict) else str(e) for e in last]
    return [word for word in words if word not in ("counter", "log")] in (["drop"], ["reject"])


def _wanted(chain: str, bridges: Iterable[str]) -> set[Opening]:
    return {(chain, match, bridge) for bridge in bridges for match in _FLAGS.values()}


def _jump(rule: dict[str, Any]) -> str:
    for expression in rule["expr"]:
        if isinstance(expression, dict) and "jump" in expression:
            return str(expression["jump"]["target"])
    return ""


def _interface(rule: dict[str, Any]) -> tuple[str, str]:
    match = rule["expr"][0].get("match") or {}
    left = match.get("left", {}).get("meta", {}) if match else {}
    return str(left.get("key", "")), str(match.get("right", ""))


def _reconcile_legacy(family: str, tag: str, bridges: list[str]) -> None:
    program = _LEGACY[family]
    try:
        listed = _legacy(program, "-S")
    except FileNotFoundError:
        raise errors.NetworkUnavailable(
            f"the kernel has an iptables-legacy filter table, but the program {program} "
            "is missing: apt install iptables"
        ) from None
    lines = [line.split() for line in listed.splitlines()]
    drops = ["-P", "FORWARD", "DROP"] in lines
    jumps = ["-A", "FORWARD", "-j", "DOCKER-USER"] in lines
    target = "DOCKER-USER" if jumps else "FORWARD"
    want = _wanted(target, bridges) if drops else set()
    for words in lines:
        if words[0] != "-A" or tag not in words:
            continue
        opening = (words[1], _FLAGS.get(words[2], ""), words[3])
        if opening in want:
            want.remove(opening)
        else:
            _legacy(program, "-D", *words[1:])
    flags = {match: flag for flag, match in _FLAGS.items()}
    for chain, match, bridge in sorted(want):
        comment = ("-m", "comment", "--comment", tag)
        _legacy(program, "-I", chain, flags[match], bridge, *comment, "-j", "ACCEPT")


def _legacy(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [program, "-w", "5", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise errors.NetworkUnavailable(f"{program}: {done.stderr.strip()}")
    return done.stdout
