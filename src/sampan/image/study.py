"""Questions about what is in an image's layers, answered by a process of its own.

    command(root, verb="tree", manifest=digest)              what each layer adds and wastes
    command(root, verb="diff", manifest=digest, other=…)     what differs between two images

It reads the layers' tars out of the content store and prints one line of JSON, or what `worker`
prints for an error: hundreds of megabytes are inflated, which no event loop may wait for.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from sampan.image import content, merged, platforms
from sampan.kit import errors
from sampan.spec import oci_image

_WORST = 20  # files that waste most


def command(root: str, **job: Any) -> list[str]:
    paths = [path for path in sys.path if path]
    code = f"import sys; sys.path[:] = {paths!r}; from sampan.image.study import main; main()"
    return [sys.executable, "-I", "-S", "-c", code, json.dumps({"root": root, **job})]


def main() -> None:
    job = json.loads(sys.argv[1])
    store = content.FileStore(job["root"])
    try:
        if job["verb"] == "tree":
            told: dict[str, Any] = tree(store, job["manifest"])
        else:
            told = {"changes": diff(store, job["other"], job["manifest"])}
    except errors.SampanError as error:
        told = {"error": str(error), "kind": "InvalidArgument"}
    print(json.dumps(told), flush=True)


def _layers(store: content.ContentStore, manifest: str) -> list[tuple[dict[str, Any], str]]:
    document = platforms.decode(store, manifest)
    config = platforms.decode(store, document["config"]["digest"])
    return oci_image.layers_of(document, config)


def tree(store: content.ContentStore, manifest: str) -> dict[str, Any]:
    """Each layer with its step of the history, and what is wasted altogether.

    Wasted are the bytes that are in some layer and that no container can see, because a later layer
    has the same path or deletes it.
    """
    document = platforms.decode(store, manifest)
    config = platforms.decode(store, document["config"]["digest"])
    seen = merged.Tree()
    layers: list[dict[str, Any]] = []
    wasted: dict[str, dict[str, int]] = {}
    for (layer, diff_id), step in zip(
        oci_image.layers_of(document, config), _steps(config, len(document["layers"])), strict=True
    ):
        with store.open(layer["digest"]) as file:
            effect = seen.apply(merged.read(file))
        for path, size in effect.hidden.items():
            entry = wasted.setdefault(path, {"Count": 1, "Bytes": 0})
            entry["Count"] += 1
            entry["Bytes"] += size
        layers.append(
            {
                "Digest": layer["digest"],
                "DiffId": diff_id,
                "MediaType": layer.get("mediaType", ""),
                "Created": step.get("created") or "",
                "CreatedBy": step.get("created_by") or "",
                "CompressedSize": layer.get("size", 0),
                "Size": effect.size,
                "Added": effect.added,
                "Changed": effect.changed,
                "Deleted": effect.deleted,
                "Wasted": sum(effect.hidden.values()),
            }
        )
    total, lost = sum(x["Size"] for x in layers), sum(x["Wasted"] for x in layers)
    worst = sorted(wasted.items(), key=lambda item: (-item[1]["Bytes"], item[0]))
    return {
        "Layers": layers,
        "Size": total,
        "Wasted": lost,
        "Efficiency": round(1 - lost / total, 4) if total else 1.0,
        "Worst": [{"Path": path, **counts} for path, counts in worst[:_WORST]],
    }


def _steps(config: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The steps of the history that made a layer, as many as there are layers."""
    made = [step for step in config.get("history") or () if not step.get("empty_layer")]
    return [*made, *({} for _ in range(count))][:count]


def diff(store: content.ContentStore, before: str, after: str) -> list[tuple[str, int]]:
    """(path, kind) from one image to another; with no `before`, what the top layer did."""
    old, new = merged.Tree(), merged.Tree()
    layers = _layers(store, after)
    for layer, _ in _layers(store, before) if before else layers[:-1]:
        _apply(store, layer["digest"], old)
    for layer, _ in layers:
        _apply(store, layer["digest"], new)
    return [*merged.compare(old, new)]


def _apply(store: content.ContentStore, digest: str, onto: merged.Tree) -> None:
    with store.open(digest) as file:
        onto.apply(merged.read(file, contents=True))
