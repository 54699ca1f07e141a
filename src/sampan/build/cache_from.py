"""`--cache-from`: an image as a cache.

Its history says what each of its layers came from: a COPY's words hold the digest of what it wrote,
a RUN's its command and arguments. Where all of a stage so far is word for word, layer for layer the
beginning of the image, the image's next layer is the next step's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.state import Layer, State


def knows(source: State, made: State) -> bool:
    """Whether the image begins with all of this state."""
    words, wanted = _words(source), _words(made)
    return words[: len(wanted)] == wanted and _begins(source, made)


def layer(source: State, noted: State) -> Layer | None:
    """The layer of the last entry of `noted`'s history, which there has none yet."""
    words, wanted = _words(source), [*_words(noted)]
    wanted[-1] = (wanted[-1][0], False)
    if words[: len(wanted)] != wanted or not _begins(source, noted):
        return None
    return source.layers[len(noted.layers)]


def _words(state: State) -> list[tuple[str, bool]]:
    history = state.config.get("history") or []
    return [(entry.get("created_by", ""), bool(entry.get("empty_layer"))) for entry in history]


def _begins(source: State, made: State) -> bool:
    ids = [layer.diff_id for layer in made.layers]
    return [layer.diff_id for layer in source.layers[: len(ids)]] == ids
