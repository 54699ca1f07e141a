"""What a pull or push tells while it goes on, in a neutral form; the engine finds the words.

`kind` is one of
    source        the manifest is known: `subject` the reference, `digest` its digest
    layer         a layer is to be transferred            (Docker: "Pulling fs layer", "Preparing")
    exists        the layer is there already              ("Already exists", "Layer already exists")
    mounted       taken from another repository           ("Mounted from …": `message`)
    transferring  `current` of `total` bytes              ("Downloading", "Pushing")
    verifying     all bytes came, the digest is checked   ("Verifying Checksum")
    transferred   stored and right                        ("Download complete", "Pushed")
    complete      `on_layer` is through with it           ("Pull complete")
    retrying      `message` says why and when
    warning       `message`, once
    digest        all is done: `digest`                   ("Digest: …")
`digest` names the blob. `diff_id` is not known before the config is: `complete` carries it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[["Event"], None]

_EVERY = 0.1  # seconds between two events of one blob


class Event(Record):
    kind: str
    digest: str = ""
    current: int = 0
    total: int = 0
    message: str = ""
    subject: str = ""
    diff_id: str = ""


def silent(event: Event) -> None:
    """The listener of those who do not care."""


class Meter:
    """Thins out `transferring`: ten a second for each blob, and the last."""

    def __init__(self, listener: Listener, digest: str, total: int) -> None:
        self._listener, self._digest, self._total = listener, digest, total
        self._next = 0.0

    def show(self, current: int) -> None:
        now = time.monotonic()
        if now >= self._next or current == self._total:
            self._next = now + _EVERY
            self._listener(
                Event(kind="transferring", digest=self._digest, current=current, total=self._total)
            )
