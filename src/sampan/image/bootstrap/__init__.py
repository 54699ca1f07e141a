"""Base images without a registry: Debian and Ubuntu from their archives, busybox from its package.

    recipe = Recipe(source="debian:12", include=("nginx-light",), tags=("nginx:1.25",))
    result = build(recipe, out, say)         an OCI archive that `load` takes, written to `out`

A Debian image has one layer that is the distribution and the same for everybody with the same
archive state, and a second one with what `include` and `run` changed, if they did. The same archive
state gives the same digests: times are clamped to the newest Release file's, logs, caches and
identities of this host are left out, and so is everything about how the packages came here.
Layers are kept in a cache directory, under the archive's state.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING

from sampan.image import archive, content
from sampan.image.bootstrap import busybox, debian, image
from sampan.image.bootstrap.errors import BootstrapFailed
from sampan.image.bootstrap.recipe import Recipe, Result, Workshop
from sampan.kit import errors, paths
from sampan.spec import reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

__all__ = ["BootstrapFailed", "Recipe", "Result", "build"]


def _quiet(line: str) -> None: ...


def build(recipe: Recipe, out: BinaryIO, say: Callable[[str], object] = _quiet) -> Result:
    """Write the image's archive to `out`. `say` gets a line for each phase.

    Raises BootstrapFailed with the last lines of the program that failed, Unsupported where a
    program is missing, InvalidArgument for a source that nobody knows.
    """
    began = time.monotonic()
    names = tuple(reference.full(tag) for tag in recipe.tags)
    distribution, _, _suite = recipe.source.partition(":")
    if distribution == "busybox":
        with tempfile.TemporaryDirectory(prefix="sampan-bootstrap-") as directory:
            store = content.FileStore(directory)
            if recipe.include or recipe.run:
                raise errors.InvalidArgument("busybox takes neither packages nor commands")
            result = image.write(store, recipe, busybox.base(store))
            archive.save(store, [archive.Saved(digest=result.digest, names=names)], out.write)
    elif distribution in debian.DISTRIBUTIONS:
        if os.geteuid() != 0:
            raise errors.Unsupported(f"only root can bootstrap {recipe.source}")
        store = content.FileStore(_cache(recipe))
        shop = Workshop(store=store, cache=_cache(recipe), say=say)
        result = image.write(store, recipe, debian.base(shop, recipe))
        archive.save(store, [archive.Saved(digest=result.digest, names=names)], out.write)
    else:
        raise errors.InvalidArgument(
            f"nothing is known about {recipe.source!r}: write debian:SUITE, ubuntu:SUITE or busybox"
        )
    say(f"{recipe.source}: {result.image_id[:19]} in {time.monotonic() - began:.1f} s")
    return result


def _cache(recipe: Recipe) -> str:
    return recipe.cache or f"{paths.from_environment().root}/cache/bootstrap"
