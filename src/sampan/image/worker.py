"""One layer unpacked by a process of its own, so that several go at once and no event loop waits.

    command(root, kind="erofs", layer=digest, chain_id=…, parent=…, diff_id=…)     what to execute

With `follow={"name": …, "size": …}` the layer is still coming into that ingest of the store.

It prints one line of JSON: `{"size": …, "entries": …}`, or `{"error": sentence, "kind": class}`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from typing import BinaryIO

    from sampan.image.content import FileStore
    from sampan.image.content.following import Following
    from sampan.image.layers import Layers

KINDS = {
    kind.__name__: kind for kind in (errors.InvalidArgument, errors.Unavailable, errors.Unsupported)
}


def command(root: str, **job: Any) -> list[str]:
    """The interpreter, started lightly, with the module path of this process."""
    paths = [path for path in sys.path if path]
    code = f"import sys; sys.path[:] = {paths!r}; from sampan.image.worker import main; main()"
    return [sys.executable, "-I", "-S", "-c", code, json.dumps({"root": root, **job})]


def outcome(line: bytes) -> dict[str, Any]:
    """What a worker printed; its error is raised here as what it was."""
    try:
        told: dict[str, Any] = json.loads(line)
    except ValueError:
        raise errors.Unavailable("the process that unpacked a layer was killed") from None
    if "error" in told:
        raise KINDS.get(told["kind"], errors.SampanError)(told["error"])
    return told


def main() -> None:
    job = json.loads(sys.argv[1])
    try:
        told = _unpack(job)
    except errors.SampanError as error:
        kind = next((name for name, cls in KINDS.items() if isinstance(error, cls)), "")
        told = {"error": str(error), "kind": kind}
    except OSError as error:
        told = {
            "error": f"unpacking layer {job['layer']}: {_sentence(error)}",
            "kind": "Unavailable",
        }
    print(json.dumps(told), flush=True)


def _sentence(error: OSError) -> str:
    import os

    text = os.strerror(error.errno or 0).lower()
    return f"{text} ({os.fsdecode(error.filename)})" if error.filename else text


def _layers(kind: str) -> type[Layers]:
    if kind == "erofs":
        from sampan.image.erofs.layers import ErofsLayers

        return ErofsLayers
    from sampan.image.layers import Layers

    return Layers


def _open(store: FileStore, job: dict[str, Any]) -> BinaryIO | Following:
    if not (follow := job.get("follow")):
        return store.open(job["layer"])
    from sampan.image.content.following import Following

    return Following(store.coming(follow["name"]), follow["size"])


def _unpack(job: dict[str, Any]) -> dict[str, Any]:
    import gc

    from sampan.image import content
    from sampan.linux import heap

    heap.keep_freed(32 << 20)
    gc.disable()  # nothing here goes round in circles, and there are many objects to look through
    sys.setswitchinterval(0.0005)  # inflating and hashing need the lock for a moment only
    layers = _layers(job["kind"])(job["root"])
    store = content.FileStore(job["root"])
    with _open(store, job) as layer:
        done = layers.unpack(job["chain_id"], job["parent"], layer, job["diff_id"])
    return {"size": done.size, "entries": done.entries}
