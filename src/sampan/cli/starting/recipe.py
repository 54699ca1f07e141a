"""What `sampan init` proposes, and the three files made of it."""

from __future__ import annotations

import json
import re
import textwrap

from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SECRETS = (".env", ".env.*", "*.pem", "*.key")
_NOISE = (".git", ".github", ".vscode", ".idea", ".DS_Store", "*.log")
_OURS = ("Dockerfile", "*.Dockerfile", ".dockerignore", "compose*.yaml", "docker-compose*")
_WIDTH = 98


class Wishes(Record):
    """What the command line decides; zero and empty leave it to the tree."""

    command: tuple[str, ...] = ()
    port: int = 0


class Step(Record):
    """Lines of a Dockerfile, and why they are as they are."""

    why: str
    lines: tuple[str, ...]


class Recipe(Record):
    kind: str
    seen: str  # what was found in the tree, for the reader
    steps: tuple[Step, ...]
    port: int = 0  # 0: it listens nowhere
    ignored: tuple[str, ...] = ()
    caution: str = ""  # what the reader should change


def step(why: str, *lines: str) -> Step:
    return Step(why=why, lines=lines)


def stage(image: str, name: str, why: str) -> Step:
    return step(why, f"FROM {image}" + (f" AS {name}" if name else ""))


def start(command: Sequence[str]) -> Step:
    why = "Exec form: the program itself is PID 1 and gets the signal to stop."
    return step(why, f"CMD {json.dumps([*command])}")


def distroless(kind: str, has: str) -> tuple[Step, ...]:
    """The stage that runs: /program out of the stage `build`, and an image that has little else."""
    return (
        stage(f"gcr.io/distroless/{kind}-debian12:nonroot", "",
              f"{has} and a user; no shell, hence no HEALTHCHECK but one that the program offers"
              " itself."),
        step("The one file that is needed.", "COPY --from=build --link /program /program"),
        step("The image's own user: a program broken into is not root.", "USER 65532"),
    )  # fmt: skip


def healthcheck(words: Sequence[str]) -> Step:
    return step(
        "Healthy as long as the port takes connections; a path of your own would say more.",
        "HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \\",
        f"    CMD {json.dumps([*words])}",
    )


def listening(port: int) -> Step:
    return step("Documentation of the port; `-p` or the compose file publishes it.",
                f"EXPOSE {port}")  # fmt: skip


def dockerfile(recipe: Recipe) -> str:
    pieces = ["# syntax=docker/dockerfile:1\n"]
    for one in recipe.steps:
        opens = one.lines[0].startswith("FROM ")
        pieces.append(("\n" if opens else "") + _comment(one.why) + "\n".join(one.lines) + "\n")
    return "".join(pieces)


def dockerignore(recipe: Recipe) -> str:
    groups = (
        ("Secrets never belong into a layer.", _SECRETS),
        ("Neither the build nor the program reads these; they would only spoil the cache.", _NOISE),
        ("Changing these does not change the program.", _OURS),
        ("Made anew inside the build, for the image's own system.", recipe.ignored),
    )
    return "\n".join(_comment(why) + "\n".join(names) + "\n" for why, names in groups if names)


def compose(recipe: Recipe, name: str) -> str:
    service = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "app"
    lines = [
        "# `docker compose up --build` builds and starts it.",
        "services:",
        f"  {json.dumps(service) if service.isdigit() else service}:",
        "    build: .",
    ]
    if recipe.port:
        lines += [
            "    # Only this machine reaches it; drop the address to let others in.",
            "    ports:",
            f'      - "127.0.0.1:{recipe.port}:{recipe.port}"',
        ]
    lines += [
        "    # A small PID 1 that reaps orphans and passes signals on.",
        "    init: true",
        "    # Back after a crash or a reboot, not after `docker compose stop`.",
        "    restart: unless-stopped",
        "    # The program is not root and needs none of root's powers.",
        "    cap_drop: [ALL]",
        "    security_opt: [no-new-privileges:true]",
    ]
    return "\n".join(lines) + "\n"


def reasons(text: str) -> list[str]:
    """What the comments of a file say, one sentence a line."""
    found: list[str] = []
    joined = False
    for line in text.splitlines():
        if not line.lstrip().startswith("# ") or line.startswith("# syntax="):
            joined = False
        elif joined:
            found[-1] += " " + line.strip()[2:]
        else:
            found.append(line.strip()[2:])
            joined = True
    return found


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, _WIDTH))


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)
