"""What the client of `POST /build` gets: images here and in registries at once; archives and trees
wait for it under a token (`kept`), for a minute or until they are given up.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

from sampan.build import output_options
from sampan.engine.builds import outcome as outcomes
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.spec import reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import ExitStack

    from sampan.build.output_options import Output
    from sampan.engine.builds.assembly import Assembled
    from sampan.engine.builds.outcome import Outcome
    from sampan.engine.images import Report

_PATIENCE = 60.0  # seconds that a client takes to come for what was made
_FILES, _ARCHIVES = ("local", "tar"), ("oci", "docker")


async def classic(outcome: Outcome, held: ExitStack, report: Report) -> tuple[str, list[str]]:
    """The image's id, and its names; `held` is what the build holds."""
    options = outcome.options
    tags = [str(reference.parse(name)) for name in options.names]
    outputs = options.outputs
    names = [*dict.fromkeys([*tags, *(name for one in outputs for name in one.names)])]
    images = [one for one in outputs if one.is_image and one.type not in _ARCHIVES]
    here = images[0] if images else output_options.Output(type="image", names=tuple(names))
    made = await outcome.assembled(here)
    local = await outcome.register(made, [] if here.by_digest else names)
    answer = outcomes.told(made, names)
    for one in images:
        if one.push:
            made = await outcome.assembled(one)
            answer |= outcomes.told(made, one.names)
            await _pushed(outcome, made, one, report)
    waiting = [one for one in outputs if one.type in (*_FILES, *_ARCHIVES)]
    aux: dict[str, Any] = {"ID": local}
    if options.outputs:
        for one in waiting:
            if one.is_image:
                answer |= outcomes.told(await outcome.assembled(one), one.names)
        aux["Metadata"] = answer
        aux["Outputs"] = kept.put(outcome, waiting, held) if waiting else ""
    await report({"aux": aux})
    return local, [] if here.by_digest else names


async def _pushed(outcome: Outcome, made: Assembled, output: Output, report: Report) -> None:
    for name in output.names:
        known = outcome.options.credentials.get(reference.parse(name).domain)
        await outcome.push(made, output, name, credentials=known, report=report)


class Kept:
    """Results whose clients have not come for them yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Outcome, list[Output], ExitStack]] = {}

    def put(self, outcome: Outcome, outputs: list[Output], held: ExitStack) -> str:
        """The token of all of them; what the build holds is held for it from here on."""
        token = secrets.token_hex(16)
        self._waiting[token] = (outcome, outputs, held.pop_all())
        asyncio.get_running_loop().call_later(_PATIENCE, self._late, token)
        return token

    def _late(self, token: str) -> None:
        if token in self._waiting:
            self.drop(token)

    async def chunks(self, token: str, number: int) -> AsyncIterator[bytes]:
        """One of them as a tar. Raises NotFound."""
        try:
            outcome, outputs, _ = self._waiting[token]
            output = outputs[number]
        except (KeyError, IndexError):
            raise errors.NotFound("no such output waits: it serves one client") from None
        if output.is_image:
            return outcome.archive(await outcome.assembled(output), output)
        return await in_thread(outcome.tarball, output)

    def drop(self, token: str) -> None:
        found = self._waiting.pop(token, None)
        if found is None:
            raise errors.NotFound("no such output waits: it serves one client")
        found[2].close()


kept = Kept()
