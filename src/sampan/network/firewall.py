"""One nft table of our own, and what must be said in others' chains beside it.

The table is the firewall's only memory: every call reads what the kernel has, writes the
difference, and writes nothing where there is none (`rules` has the text). A table of another
version, or one with rules missing, is replaced in one transaction.

Forwarding is switched on when it is off, and a mark for that is left in the table. `teardown`
switches it off again if the mark is there and nobody else has a chain at the forward hook: whoever
began to count on forwarding in between (dockerd, libvirt, a VPN) has one.

Rules that an administrator wrote into the table's own chain for them outlive every change of ours
but `teardown`.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sampan.linux import nft as nftables
from sampan.network import errors, forwarding, openings, rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sampan.linux.nft import Nft
    from sampan.network.driver import Network
    from sampan.network.rules import Element, Elements, Published


class Firewall:
    """`table` is `kit.paths.Paths.nft_table`, which is also the tag on rules in others' chains."""

    def __init__(self, table: str, nft: Nft) -> None:
        self.table = table
        self._nft = nft
        self._later = False

    async def reconcile(self, networks: Iterable[Network], published: Iterable[Published]) -> None:
        """Make the host say exactly this of ours: at engine start, or after a foreign flush."""
        networks = list(networks)
        parts = [rules.network_elements(n) for n in networks]
        want = rules.union(rules.published_elements(published), *parts)
        self._write(want, "46" if any(n.subnet6 for n in networks) else "4")
        await openings.reconcile(self._nft, self.table, [n.bridge for n in networks])

    @contextmanager
    def reconciled_later(self) -> Iterator[None]:
        """`add_network` does nothing inside: a `reconcile` with all of them comes after it.

        Each would read the table that is about to be written.
        """
        self._later = True
        try:
            yield
        finally:
            self._later = False

    async def add_network(self, network: Network) -> None:
        if self._later:
            return
        have, present = self._read()
        want = rules.union(have, rules.network_elements(network))
        if not network.internal:
            want["internal"].discard(((network.bridge,), ()))
        self._change(have, want, present, "46" if network.subnet6 else "4")
        await openings.reconcile(self._nft, self.table, _bridges(want))

    async def remove_network(self, network: Network) -> None:
        """The last one takes the table with it."""
        have, present = self._read()
        if not present:
            return
        gone = rules.union(
            rules.network_elements(network), rules.network_elements(network.replace(internal=True))
        )
        want = {name: have[name] - gone[name] for name in rules.SETS}
        if not want["bridges"]:
            await self.teardown()
            return
        self._change(have, want, present)
        await openings.reconcile(self._nft, self.table, _bridges(want))

    def publish(self, published: Iterable[Published]) -> None:
        """Add translations; one left by a dead container under the same key is replaced."""
        new = rules.published_elements(published)
        if not any(new.values()):
            return
        try:
            self._nft.run(rules.changes(self.table, {}, new))
        except nftables.Refused as e:
            if e.errno not in (errno.EEXIST, errno.ENOENT):
                raise _unavailable(e) from e
            keys = {(kind, key) for kind in new for key, _ in new[kind]}
            want = {k: {e for e in v if (k, e[0]) not in keys} for k, v in self._read()[0].items()}
            self._write(rules.union(want, new))

    def unpublish(self, published: Iterable[Published]) -> None:
        """Take translations away; fine if some are gone or belong to another container by now."""
        # `delete element` looks at the key alone, so each is asked for first (0.1 ms; reading
        # the whole table would grow with it).
        old = rules.published_elements(published)
        ours = {kind: {e for e in old[kind] if self._stands(kind, e)} for kind in rules.SETS}
        commands = rules.changes(self.table, ours, {})
        if commands:
            self._run_or_raise(commands)

    def stands(self, published: Published) -> bool:
        """Whether the kernel has this translation; where no element stands for it, it has."""
        elements = rules.published_elements([published])
        return all(self._stands(kind, e) for kind in rules.SETS for e in elements[kind])

    def is_whole(self) -> bool:
        """Whether the table is there with every rule."""
        return self._read()[1]

    def _stands(self, kind: str, element: Element) -> bool:
        """Whether the kernel has this key with this value."""
        try:
            text = self._nft.run(rules.get(self.table, kind, element))
        except nftables.Refused as e:
            if e.errno != errno.ENOENT:
                raise _unavailable(e) from e
            return False
        return rules.shows(text, kind, element)

    async def teardown(self) -> None:
        """Leave no trace: the table, rules in others' chains, forwarding if it was ours."""
        _, present = self._read()
        await openings.reconcile(self._nft, self.table, [])
        if not present:
            return
        marks = self._marks()
        self._run_or_raise(f"delete table inet {self.table}")
        if marks and not await self._others_forward():
            for switched in marks:
                forwarding.switch(switched, on=False)

    async def _others_forward(self) -> bool:
        chains = [item["chain"] for item in self._nft.list("list chains") if "chain" in item]
        return any(c.get("hook") == "forward" for c in chains) or openings.legacy_present()

    def _write(self, want: Elements, families: str = "4") -> None:
        have, present = self._read()
        self._change(have, want, present, families)

    def _change(self, have: Elements, want: Elements, present: bool, families: str = "4") -> None:
        """From what stands to what shall; `present`: whether the skeleton is whole."""
        off = [family for family in families if not forwarding.is_on(family)]
        if not present:
            commands = rules.table(
                self.table,
                want,
                marks=[rules.FORWARDING[family] for family in {*self._marks(), *off}],
                administrators=self._administrators(),
            )
        else:
            commands = rules.changes(self.table, have, want)
            for family in off:
                commands += f"add chain inet {self.table} {rules.FORWARDING[family]}\n"
        if commands:
            self._run_or_raise(commands)
        for family in off:
            forwarding.switch(family, on=True)

    def _read(self) -> tuple[Elements, bool]:
        """What stands in the kernel, and whether the skeleton around it is whole."""
        try:
            listed = self._nft.list(f"list table inet {self.table}")
        except nftables.Refused as e:
            if e.errno != errno.ENOENT:
                raise _unavailable(e) from e
            listed = []
        return rules.parse_elements(listed), _whole(listed)

    def _marks(self) -> list[str]:
        """The families whose forwarding we switched on."""
        listed = self._nft.list("list chains inet")
        chains = [item["chain"] for item in listed if "chain" in item]
        names = {chain["name"] for chain in chains if chain["table"] == self.table}
        return [family for family, name in rules.FORWARDING.items() if name in names]

    def _administrators(self) -> list[str]:
        """The rules that somebody else put into the chain that is theirs, as text."""
        try:
            text = self._nft.run(f"list chain inet {self.table} {rules.ADMINISTRATOR}")
        except nftables.Refused as e:
            if e.errno != errno.ENOENT:
                raise _unavailable(e) from e
            return []
        return [line.strip() for line in text.splitlines()[2:-2]]

    def _run_or_raise(self, commands: str) -> None:
        try:
            self._nft.run(commands)
        except nftables.Refused as e:
            raise _unavailable(e) from e


def _whole(listed: list[dict[str, Any]]) -> bool:
    counts = {item["chain"]["name"]: 0 for item in listed if "chain" in item}
    for item in listed:
        if "rule" in item:
            counts[item["rule"]["chain"]] = counts.get(item["rule"]["chain"], 0) + 1
    for mark in rules.FORWARDING.values():
        counts.pop(mark, None)
    if rules.ADMINISTRATOR in counts:
        counts[rules.ADMINISTRATOR] = 0
    return counts == {**rules.rule_counts(), rules.VERSION: 0}


def _bridges(elements: Elements) -> list[str]:
    return sorted(key[0] for key, _ in elements["bridges"])


def _unavailable(error: nftables.Refused) -> errors.NetworkUnavailable:
    return errors.NetworkUnavailable(f"cannot change the firewall: {error.strerror}")
