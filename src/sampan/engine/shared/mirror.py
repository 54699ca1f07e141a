"""What the network store said last, kept in the engine's database.

So a host that is cut off, or whose engine starts while the store is away, goes on with what it
knows. The row "self" is this host's own id; keys of a store have slashes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sampan.network.shared import keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.engine.db import Database
    from sampan.network.ipam import Subnet
    from sampan.network.shared.store import Changes


class Mirror:
    def __init__(self, db: Database) -> None:
        self._db = db
        self.content: dict[str, str] = dict(map(tuple, db.rows("select key, value from shared")))
        self.identity = self.content.pop("self", "") or self._identify()
        self.known = keys.Known(self.content)

    def _identify(self) -> str:
        identity = secrets.token_hex(8)
        self._db.execute("insert into shared values ('self', ?)", (identity,))
        return identity

    def replace(self, found: Mapping[str, str]) -> Changes:
        """Everything anew; which keys differ, and their texts before."""
        gone: Changes = dict.fromkeys(self.content.keys() - found.keys())
        return self.apply({**gone, **found})

    def apply(self, changes: Changes) -> Changes:
        """Which keys that changes, and their texts before."""
        former = {
            key: self.content.get(key)
            for key, text in changes.items()
            if self.content.get(key) != text
        }
        with self._db.transaction():
            for key in former:
                text = changes[key]
                if text is None:
                    del self.content[key]
                    self._db.execute("delete from shared where key = ?", (key,))
                else:
                    self.content[key] = text
                    self._db.execute("replace into shared values (?, ?)", (key, text))
                self.known.put(key, text)
        return former

    def defined(self, network: str) -> bool:
        return keys.definition(network) in self.content

    def own_parts(self, network: str) -> list[Subnet]:
        return [p for p, host in self.known.parts(network).items() if host == self.identity]

    def others(self) -> dict[str, keys.Host]:
        """The other hosts that are heard of, by id."""
        return {i: host for i, host in self.known.hosts().items() if i != self.identity}

    def far(self, network: str) -> dict[str, keys.Endpoint]:
        """Containers on other hosts, by id."""
        found = self.known.endpoints(network)
        return {i: one for i, one in found.items() if one.host != self.identity}

    def is_far(self, network: str, container: str) -> keys.Endpoint | None:
        found = self.known.endpoint(network, container)
        return found if found and found.host != self.identity else None
