"""`sampan init`: a Dockerfile, .dockerignore and compose.yaml for a source tree."""

from __future__ import annotations

import os
import shlex
import sys

from sampan.cli import starting
from sampan.cli.options import Command, option
from sampan.cli.starting import recipe
from sampan.cli.starting.tree import Tree
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="init",
    summary="Write a Dockerfile for a source tree",
    description="Looks at DIRECTORY (the current one) and writes Dockerfile, .dockerignore and"
    " compose.yaml, with the reason of each choice as a comment. It knows Python (pip, uv,"
    " poetry, pipenv; Django, FastAPI, Flask), Node (npm, yarn, pnpm, bun; Next, Vite), Go, Rust,"
    " Java (Maven, Gradle) and static sites. Nothing of the tree is executed, and no engine is"
    " asked. Files that are there already are not touched without --force.",
    operands="[DIRECTORY]",
    at_most=1,
    options=(
        option("--command", "string", "What the container runs, where it cannot be seen"),
        option("--force", "bool", "Write over files that are there"),
        option(
            "--kind",
            "string",
            "The kind of project",
            completes="python|node|go|rust|java|static",
        ),
        option("--port", "int", "The port that the program listens on"),
        option("--print", "bool", "Show the files, write nothing"),
    ),
    completes="dir",
    examples=(
        ("sampan init", "Write the three files for the project of this directory."),
        ("sampan init --print --kind node .", "Show them for what package.json describes."),
    ),
)


def run(_session: Session, args: Arguments) -> None:
    directory = args.operands[0] if args.operands else "."
    tree = Tree(directory)
    port = args["port"] or 0
    if not 0 <= port < 1 << 16:
        raise errors.InvalidArgument(f"--port {port}: a port lies between 1 and 65535")
    wishes = recipe.Wishes(command=tuple(shlex.split(args["command"] or "")), port=port)
    found = starting.propose(tree, args["kind"] or "", wishes)
    files = {
        "Dockerfile": recipe.dockerfile(found),
        ".dockerignore": recipe.dockerignore(found),
        "compose.yaml": recipe.compose(found, tree.name),
    }
    if args["print"]:
        sys.stdout.write("\n".join(f"### {name}\n{text}" for name, text in files.items()))
        return
    there = [name for name in files if tree.has(name)]
    if there and not args["force"]:
        raise errors.AlreadyExists(
            f"{directory}: {', '.join(there)} {'is' if len(there) == 1 else 'are'} there already:"
            " --force writes over, --print shows only"
        )
    print(f"{found.kind}: {found.seen}")
    for name, text in files.items():
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)
        print(f"{name}:", *(f"  {reason}" for reason in recipe.reasons(text)), sep="\n")
    if found.caution:
        print(f"note: {found.caution}")
