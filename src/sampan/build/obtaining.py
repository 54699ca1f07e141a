"""A step's layer: out of a cache, or made and remembered. For the steps of one stage."""

from __future__ import annotations

import functools

from sampan.build import cache, cache_from, copying, explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.build.progress import Step
    from sampan.build.solve import Request, Workshop, _Build
    from sampan.build.state import Layer, State


class Obtaining:
    def __init__(self, build: _Build, title: str) -> None:
        self._build, self._title = build, title

    @property
    def _request(self) -> Request:
        return self._build.request

    @property
    def _workshop(self) -> Workshop:
        return self._build.workshop

    def copied(
        self, told: Step, noted: State, kind: str, digest: str, members: list[copying.Member]
    ) -> Layer:
        """Of a tar with these members, by their digest."""
        epoch = self._request.epoch
        return self.layer(
            told,
            noted,
            explain.Parts(kind=kind, parts={"digest": digest, "epoch": epoch}),
            lambda: self._workshop.store(functools.partial(copying.write, members), latest=epoch),
            lambda: {one.entry.name: copying.digest([one])[:16] for one in members},
        )

    @property
    def _fresh(self) -> bool:
        skipped = {name.lower() for name in self._request.no_cache_stages}
        return self._request.no_cache or self._title in skipped

    def free(self, told: Step, current: State, made: State) -> State:
        """A step that only changes the config: nothing to save, but people count on being told."""
        sources = self._request.cache_from
        if sources is None:
            known = self._workshop.seen(cache.key("config", image=made.image_id))
        else:
            known = any(cache_from.knows(source, made) for source in sources)
        if known and not self._fresh:
            self._build.progress.cached(told, "")
        return made

    def layer(
        self,
        told: Step,
        noted: State,
        parts: explain.Parts,
        make: Callable[[], Layer],
        named: Callable[[], Mapping[str, str]] = dict,
    ) -> Layer:
        """`noted` is the state with the step's words, but without its layer; `named` gives what a
        trace has of its files."""
        with self._workshop.alone(parts):
            found = self._found(noted, parts)
            if found:
                self._build.progress.cached(told, "")
                return found
            ident = explain.ident(told.title, told.text)
            parts = parts.replace(files=named())
            if self._request.explain:
                self._build.progress.cached(told, f"Not cached: {self._reason(ident, parts)}")
            made = make()
            self._workshop.remember(parts, made, told.text, ident)
            return made

    def _found(self, noted: State, parts: explain.Parts) -> Layer | None:
        sources = self._request.cache_from
        if self._fresh or sources is None:
            return self._workshop.recall(parts, fresh=self._fresh)
        layers = (cache_from.layer(source, noted) for source in sources)
        return next(filter(None, layers), None)

    def _reason(self, ident: str, parts: explain.Parts) -> str:
        if self._fresh:
            return "--no-cache or --no-cache-filter asks for it"
        if self._request.cache_from is not None:
            return "none of the images of --cache-from has it"
        return explain.reason(self._workshop.trace(ident), parts)
