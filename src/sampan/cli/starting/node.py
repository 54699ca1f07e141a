"""Node: npm, yarn, pnpm or bun; Next and Vite, or a server that package.json starts."""

from __future__ import annotations

import re
import shlex

from sampan.cli.starting import static
from sampan.cli.starting.recipe import Recipe, healthcheck, listening, stage, start, step
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.starting.recipe import Step, Wishes
    from sampan.cli.starting.tree import Tree

MARKS = ("package.json",)
MAJOR = "24"  # the long-term release
PORT = 3000
_IGNORED = ("node_modules", "dist", "build", ".next", "coverage", "npm-debug.log*")


class Manager(Record):
    lock: str  # empty: there is none
    image: str = ""
    setup: str = ""  # before it can be called
    cache: str
    install: str
    production: str  # installs what the running program needs, alone
    run: str


_COREPACK = "RUN corepack enable"
MANAGERS = {
    "pnpm-lock.yaml": Manager(
        lock="pnpm-lock.yaml", setup=_COREPACK, cache="/root/.local/share/pnpm/store",
        install="pnpm install --frozen-lockfile", run="pnpm run",
        production="pnpm install --frozen-lockfile --prod",
    ),
    "yarn.lock": Manager(
        lock="yarn.lock", setup=_COREPACK, cache="/usr/local/share/.cache/yarn",
        install="yarn install --frozen-lockfile", run="yarn run",
        production="yarn install --frozen-lockfile --production",
    ),
    "bun.lock": Manager(
        lock="bun.lock", image="oven/bun:1-slim", cache="/root/.bun/install/cache",
        install="bun install --frozen-lockfile", run="bun run",
        production="bun install --frozen-lockfile --production",
    ),
    "package-lock.json": Manager(
        lock="package-lock.json", cache="/root/.npm", install="npm ci", run="npm run",
        production="npm ci --omit=dev",
    ),
    "": Manager(
        lock="", cache="/root/.npm", install="npm install", run="npm run",
        production="npm install --omit=dev",
    ),
}  # fmt: skip


def recipe(tree: Tree, wishes: Wishes) -> Recipe:
    package = tree.json("package.json")
    scripts = package.get("scripts") or {}
    depends = {**(package.get("devDependencies") or {}), **(package.get("dependencies") or {})}
    lock = tree.first(*(name for name in MANAGERS if name))
    manager = MANAGERS[lock or ""]
    image = manager.image or f"node:{_major(tree, package)}-slim"
    built = [
        *_installed(manager, image, "build", manager.install),
        step("The source comes after the dependencies, whose step so stays cached.", "COPY . ."),
        step(
            "What the browser or the server gets; the packages of the build stay behind.",
            f"RUN {manager.run} build && rm -rf node_modules",
        ),
    ]
    seen = lock or "package.json"
    if {"vite", "build"} <= {*depends, *scripts} and "start" not in scripts and not wishes.command:
        return Recipe(
            kind="node",
            seen=f"{seen}; Vite, served as files",
            steps=(*built, *static.served("COPY --from=build --link /app/dist", "")),
            port=static.PORT,
            ignored=_IGNORED,
        )
    port = wishes.port or PORT
    if wishes.command:
        what, words = "the command given", wishes.command
    else:
        what, words = _start(tree, package, depends)
    return Recipe(
        kind="node",
        seen=f"{seen}; {what}",
        steps=(
            *(built if "build" in scripts else []),
            *_server(manager, image, port, "build" in scripts, words),
        ),
        port=port,
        ignored=_IGNORED,
        caution="" if lock else "no lock file: commit one, so that each build installs the same",
    )


def _installed(manager: Manager, image: str, name: str, command: str) -> list[Step]:
    files = f"package.json {manager.lock}".rstrip()
    steps = [stage(image, name, "slim is Debian less compilers; a release line with long support,"
                   " of a fixed major version.")]  # fmt: skip
    if manager.setup:
        steps.append(step("The package manager that package.json names.", manager.setup))
    return [
        *steps,
        step("Only what names the dependencies: the step is done again when they change. A cache"
             " mount keeps what was downloaded, outside of the image.",
             "WORKDIR /app", f"COPY {files} ./",
             f"RUN --mount=type=cache,target={manager.cache} \\", f"    {command}"),
    ]  # fmt: skip


def _server(
    manager: Manager, image: str, port: int, builds: bool, words: tuple[str, ...]
) -> list[Step]:
    runner = "bun" if manager.image else "node"
    probe = (
        f"require('net').connect({port}, '127.0.0.1')"
        ".on('connect', () => process.exit(0)).on('error', () => process.exit(1))"
    )
    source = "COPY --from=build --link /app ./" if builds else "COPY . ."
    return [
        *_installed(manager, image, "needed", manager.production),
        stage(image, "", "The image that runs: no development packages, no package cache."),
        step("Many packages leave out what only helps development; the server reads its port here.",
             f"ENV NODE_ENV=production PORT={port} HOSTNAME=0.0.0.0", "WORKDIR /app"),
        step("The program, and the packages it needs while it runs.",
             source,
             "COPY --from=needed /app/node_modules ./node_modules"),
        step("The image's own user, by number: a program broken into is not root.", "USER 1000"),
        listening(port),
        healthcheck([runner, "-e", probe]),
        start(words),
    ]  # fmt: skip


def _major(tree: Tree, package: dict[str, Any]) -> str:
    """.nvmrc's or .node-version's, or the one that `engines` asks for at least."""
    pinned = tree.text(".nvmrc") or tree.text(".node-version")
    found = re.match(r"\s*v?(\d+)", pinned)
    if found:
        return found[1]
    wanted = str((package.get("engines") or {}).get("node") or "")
    exact = re.match(r"\s*(?:\^|~|v)?(\d+)(?:\.[\dx*]+)*\s*$", wanted)
    if exact:
        return exact[1]
    least = re.search(r">=\s*(\d+)", wanted)
    return str(max(int(MAJOR), int(least[1]))) if least else MAJOR


def _start(
    tree: Tree, package: dict[str, Any], depends: dict[str, Any]
) -> tuple[str, tuple[str, ...]]:
    if "next" in depends:
        return "Next", ("node", "node_modules/next/dist/bin/next", "start")
    script = str((package.get("scripts") or {}).get("start") or "")
    words = tuple(shlex.split(script)) if script else ()
    # npm as PID 1 keeps signals to itself, so what it would call is called.
    if words[:1] in (("node",), ("bun",)) and not re.search(r"[&|;<>$]", script):
        return f"`{script}` of package.json", words
    if script:
        return "the start script of package.json", ("npm", "start")
    name = str(package.get("main") or "") or tree.first("server.js", "index.js", "app.js")
    if name and tree.has(name):
        return name, ("node", name)
    raise errors.InvalidArgument(
        f"{tree.directory}/package.json: nothing to start was found (a start script, main, Next,"
        " Vite); say it with --command"
    )
