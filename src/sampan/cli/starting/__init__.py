"""`sampan init`: from a source tree to a Dockerfile, a .dockerignore and a compose.yaml.

A kind of project is a module with `MARKS`, the files by which one sees it, and
`recipe(tree, wishes) -> Recipe`. What a recipe says of its steps is both the Dockerfile's
comments and what the command prints.
"""

from __future__ import annotations

from sampan.cli.starting import go, java, node, python, rust, static
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from sampan.cli.starting.recipe import Recipe, Wishes
    from sampan.cli.starting.tree import Tree

KINDS: dict[str, ModuleType] = {
    "python": python, "node": node, "go": go, "rust": rust, "java": java, "static": static,
}  # fmt: skip


def propose(tree: Tree, kind: str, wishes: Wishes) -> Recipe:
    """Raises InvalidArgument: an unknown tree, one of several kinds, one without a start."""
    if kind and kind not in KINDS:
        raise errors.InvalidArgument(f"--kind {kind}: it is one of {', '.join(KINDS)}")
    found: Recipe = KINDS[kind or _seen(tree)].recipe(tree, wishes)
    return found


def _seen(tree: Tree) -> str:
    seen = {kind: tree.first(*module.MARKS) for kind, module in KINDS.items()}
    found = {kind: mark for kind, mark in seen.items() if mark}
    if len(found) > 1:
        found.pop("static", None)  # a page beside a program belongs to it
    if not found:
        marks = ", ".join(module.MARKS[0] for module in KINDS.values())
        raise errors.InvalidArgument(
            f"{tree.directory}: no project that is known here (looked for {marks} and their like);"
            f" choose with --kind {'|'.join(KINDS)}"
        )
    if len(found) > 1:
        listed = ", ".join(f"{kind} ({mark})" for kind, mark in found.items())
        raise errors.InvalidArgument(
            f"{tree.directory}: several kinds of project: {listed}; choose one with --kind"
        )
    return next(iter(found))
