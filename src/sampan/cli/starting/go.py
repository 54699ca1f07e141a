"""Go: one static program in an image that has nothing else."""

from __future__ import annotations

import re

from sampan.cli.starting.recipe import Recipe, distroless, listed, listening, stage, start, step
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.starting.recipe import Wishes
    from sampan.cli.starting.tree import Tree

MARKS = ("go.mod",)
VERSION = "1"
_MAIN = re.compile(r"^package main\b", re.MULTILINE)
_LISTENS = re.compile(r"\.(?:ListenAndServe|Run|Start|Listen)\(\s*\"[\w.]*:(\d+)\"")


def recipe(tree: Tree, wishes: Wishes) -> Recipe:
    module = tree.text("go.mod")
    version = re.search(r"^go\s+(\d+\.\d+)", module, re.MULTILINE)
    folder = _program(tree)
    place = f"./{folder}" if folder else "."
    sums = "go.mod go.sum" if tree.has("go.sum") else "go.mod"
    port = wishes.port or _port(tree)
    steps = [
        stage(f"golang:{version[1] if version else VERSION}", "build",
              "The compiler of go.mod's version; it stays behind in this stage."),
        step("Only what names the modules: the step is done again when they change. A cache mount"
             " keeps what was downloaded, outside of the image.",
             "WORKDIR /src", f"COPY {sums} ./",
             "RUN --mount=type=cache,target=/go/pkg/mod \\", "    go mod download"),
        step("A static program, without its debug tables and the paths of this machine; the"
             " compiler's cache makes the next build short.",
             "COPY . .", "RUN --mount=type=cache,target=/go/pkg/mod \\",
             "    --mount=type=cache,target=/root/.cache/go-build \\",
             f"    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /program {place}"),
        *distroless("static", "Certificates, time zones"),
        *([listening(port)] if port else []),
        start(wishes.command or ("/program",)),
    ]  # fmt: skip
    return Recipe(
        kind="go",
        seen=f"go.mod; package main in {place}",
        steps=tuple(steps),
        port=port,
        ignored=("bin", "*.test", "*.out"),
    )


def _program(tree: Tree) -> str:
    """The directory of package main."""
    folders = [
        path.rpartition("/")[0]
        for path in tree.files(".go")
        if not path.endswith("_test.go") and _MAIN.search(tree.text(path))
    ]
    found = list(dict.fromkeys(folders))
    if "" in found:
        return ""
    named = [folder for folder in found if folder.rpartition("/")[2] == tree.name]
    if len(found) != 1 and len(named) != 1:
        several = f"several programs: {listed(found)}" if found else "no package main"
        raise errors.InvalidArgument(
            f"{tree.directory}: {several}; call `sampan init` where one lies in a module"
            " of its own, or name its directory like the project's"
        )
    return (named or found)[0]


def _port(tree: Tree) -> int:
    for path in tree.files(".go"):
        found = _LISTENS.search(tree.text(path))
        if found:
            return int(found[1])
    return 0
