"""The seam behind which hosts tell each other about networks that they share.

A store is a small dictionary of texts that every host reads whole and then follows. Keys belong
to a life: FOREVER until somebody deletes them (a network's definition), PRESENCE while their host
says that it is there (who it is, its containers), ADDRESSES for long after it was last there (the
parts of subnets that it gives addresses from; `network.shared.keys` has them all). Behind the two
lives are two leases of the host. `claim` is how anything is had by one host alone.

Life: `join` takes up the leases (those it had, if they have not ended) · `read`, then `changes`
from the revision that was read · `keep` often enough · `leave` when the host wants to be forgotten
at once · `close` when it only stops following: its leases run on. Whatever is written twice is the
same as written once; a `claim` of what one has already, with the same text, is won.

Every call but `close` raises `StoreUnavailable` when the store cannot be asked now; nothing is
known then about whether a write was done. After it, the caller begins again with `join`. `keep`
raises it too when a lease has ended meanwhile.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

Changes = dict[str, str | None]  # key → its text now, None where it is gone


class StoreUnavailable(errors.Unavailable):
    """The store does not answer, or it has forgotten us."""


class Life(enum.Enum):
    FOREVER = "forever"
    PRESENCE = "presence"
    ADDRESSES = "addresses"


class NetworkStore(Protocol):
    async def join(self) -> None: ...

    async def keep(self) -> None: ...

    async def read(self) -> tuple[int, dict[str, str]]:
        """(revision, everything)."""

    def changes(self, revision: int) -> AsyncIterator[tuple[int, Changes]]:
        """What was changed after this revision, as it happens, each with the revision then."""

    async def claim(self, values: Mapping[str, str], life: Life) -> bool:
        """All of these keys, or none: whether nobody else has one of them."""

    async def put(self, values: Mapping[str, str], life: Life) -> None: ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Fine where they are gone."""

    async def leave(self) -> None: ...

    async def close(self) -> None: ...
