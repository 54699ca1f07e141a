"""Rust: the program of a crate on an image with the C library alone."""

from __future__ import annotations

import os

from sampan.cli.starting.recipe import Recipe, distroless, listed, listening, stage, start, step
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.starting.recipe import Wishes
    from sampan.cli.starting.tree import Tree

MARKS = ("Cargo.toml",)
_CACHES = (
    "RUN --mount=type=cache,target=/usr/local/cargo/registry \\",
    "    --mount=type=cache,target=/src/target \\",
)


def recipe(tree: Tree, wishes: Wishes) -> Recipe:
    manifest = tree.toml("Cargo.toml")
    name = _program(tree, manifest)
    version = ".".join(str(_package(manifest).get("rust-version") or "1").split(".")[:2])
    locked = " --locked" if tree.has("Cargo.lock") else ""
    steps = [
        stage(f"rust:{version}-slim-bookworm", "build", "The compiler stays behind in this stage;"
              " bookworm has the C library of the image that runs."),
        step("Cache mounts keep crates and what was compiled between builds, outside of the image;"
             " the program is copied out of them in the same step.",
             "WORKDIR /src", "COPY . .", *_CACHES,
             f"    cargo build --release{locked} --bin {name} \\",
             f"    && cp target/release/{name} /program"),
        *distroless("cc", "The C library, certificates"),
        *([listening(wishes.port)] if wishes.port else []),
        start(wishes.command or ("/program",)),
    ]  # fmt: skip
    return Recipe(
        kind="rust",
        seen=f"Cargo.toml; the program {name}",
        steps=tuple(steps),
        port=wishes.port,
        ignored=("target",),
        caution="" if locked else "no Cargo.lock: commit it, so that each build takes the same",
    )


def _package(manifest: dict[str, Any]) -> dict[str, Any]:
    found = manifest.get("package")
    return found if isinstance(found, dict) else {}


def _program(tree: Tree, manifest: dict[str, Any]) -> str:
    """The binary's name: `default-run`, the only [[bin]], src/main.rs, the only src/bin/*.rs."""
    package = _package(manifest)
    names = [str(one["name"]) for one in manifest.get("bin") or [] if "name" in one]
    if not names and tree.has("src/main.rs"):
        names = [str(package.get("name") or "")]
    if not names and tree.has("src/bin"):
        listing = sorted(os.listdir(f"{tree.directory}/src/bin"))
        names = [name.removesuffix(".rs") for name in listing]
    if package.get("default-run"):
        names = [str(package["default-run"])]
    if len(names) == 1 and names[0]:
        return names[0]
    said = f"several programs: {listed(names)}; name one as default-run" if names else "no program"
    raise errors.InvalidArgument(f"{tree.directory}/Cargo.toml: {said}")
