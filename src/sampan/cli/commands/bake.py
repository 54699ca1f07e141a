"""`sampan bake`: the builds that a file describes."""

from __future__ import annotations

import json
import os
import tempfile

from sampan.cli import options
from sampan.cli.bake import fields, jobs, sources
from sampan.cli.bake.definition import Definition
from sampan.cli.commands import build
from sampan.cli.options import Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="bake",
    summary="Build the targets of a bake or compose file",
    description="Without -f it reads compose.yaml, docker-bake.json, docker-bake.hcl and their"
    " overrides of this directory, the later ones over the earlier. Without a TARGET it builds"
    " `default`. A variable of the file is set by the environment variable of its name. Targets"
    " are built one after the other, those that others use as a context (`target:NAME`) first;"
    " cache-to and attest are left out.",
    operands="[TARGET...]",
    options=(
        option("-f --file", "list", "The file: HCL, JSON or compose; - is stdin", completes="file"),
        option("--load", "bool", "Accepted: images always are the engine's"),
        option(
            "--metadata-file",
            "string",
            "Write digests and names of each target into this file, JSON",
            completes="file",
        ),
        option("--no-cache", "bool", "Do every step again"),
        option("--print", "bool", "Show what would be built, JSON"),
        option("--pull", "bool", "Ask the registry for newer base images"),
        option("--push", "bool", "Push the images"),
        option("-q --quiet", "bool", "Print the images' ids alone"),
        option("--set", "list", "Change a target: PATTERN.KEY=VALUE, PATTERN.args.NAME=VALUE"),
    ),
    examples=(
        ("sampan bake", "Build the group or target `default`."),
        ("TAG=2 sampan bake --print app", "Show the target `app` with the variable TAG set."),
        ("sampan bake --set '*.platform=linux/arm64'", "Build all for another platform."),
    ),
)


def run(session: Session, args: Arguments) -> int | None:
    definition = Definition(sources.read(args["file"], os.environ), os.environ)
    plan = definition.plan(args.operands, args["set"])
    for target in plan.targets.values():
        target |= {name: True for name in ("no-cache", "pull") if args[name]}
    if args["print"]:
        print(json.dumps(_shown(plan.groups, plan.targets), indent=2, ensure_ascii=False))
        return None
    if args["push"]:
        for name in plan.targets.keys() - plan.linked:
            plan.targets[name]["output"] = [{"type": "registry"}]
    known: dict[str, Any] = {}
    built: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="sampan-bake-") as scratch:
        for name, target in plan.targets.items():
            if name in plan.linked:
                target = {**target, "tags": []}
            code = _build(session, args, name, target, built, scratch)
            if code:
                return code
            with open(f"{scratch}/metadata") as file:
                known[name] = json.load(file)
    if args["metadata-file"]:
        with open(args["metadata-file"], "w") as file:
            json.dump({name: known[name] for name in known.keys() - plan.linked}, file, indent=2)
    return None


def _shown(groups: dict[str, list[str]], targets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "group": {name: {"targets": groups[name]} for name in sorted(groups)},
        "target": {name: fields.ordered(targets[name]) for name in sorted(targets)},
    }


def _build(
    session: Session,
    args: Arguments,
    name: str,
    target: dict[str, Any],
    built: dict[str, str],
    scratch: str,
) -> int:
    inline = ""
    if target.get("dockerfile-inline"):
        inline = f"{scratch}/Dockerfile"
        with open(inline, "w") as file:
            file.write(target["dockerfile-inline"])
    if not args["quiet"]:
        print(f"==> {name}", flush=True)
    with open(f"{scratch}/metadata", "w") as file:
        file.write("{}")  # a check makes none
    try:
        words = jobs.words(target, built, inline)
    except errors.Unsupported as error:
        raise errors.Unsupported(f'target "{name}": {error}') from None
    words = [f"--iidfile={scratch}/id", f"--metadata-file={scratch}/metadata", *words]
    quiet = ["--quiet"] if args["quiet"] else []
    code = build.run(session, options.parse(build.COMMAND, [*quiet, *words]))
    if not code and target.get("call") != "check":
        with open(f"{scratch}/id") as file:
            built[name] = file.read()
    return code or 0
