"""The addresses of a network that nobody may be given: those that containers have, from the rows,
and the reserved ones.

Asked one by one, through an index; so a start does not read what all the others have.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.db import Database
    from sampan.engine.pools import Pool
    from sampan.network.ipam import Address


class Given(Collection["Address"]):
    """As it is at each question; `besides` is a container whose own addresses do not count."""

    def __init__(self, db: Database, network: str, pool: Pool, *, besides: str = "") -> None:
        self._db, self._reserved, self._values = db, pool.reserved, (network, besides)
        column = "address" if pool.subnet.version == 4 else "address6"
        self._rows = (
            f"select {column} from endpoints"
            f" where network_id = ?1 and {column} is not null and container_id <> ?2"
        )
        self._one = f"{self._rows} and {column} = ?3"

    def __contains__(self, address: object) -> bool:
        if address in self._reserved:
            return True
        return self._db.row(self._one, (*self._values, str(address))) is not None

    def __len__(self) -> int:
        count = f"select count(*) from ({self._rows})"
        return int(self._db.value(count, self._values)) + len(self._reserved)

    def __iter__(self) -> Iterator[Address]:
        yield from self._reserved
        for row in self._db.rows(self._rows, self._values):
            yield ip_address(row[0])
