"""`sampan build`: an image from a Dockerfile and the files beside it."""

from __future__ import annotations

import os
import sys

from sampan.cli import building, linting, output, progress
from sampan.cli.common_options import PLATFORM
from sampan.cli.options import Command, option
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="build",
    aliases=("image build",),
    summary="Make an image from a Dockerfile",
    description="The files of the directory PATH are sent to the engine, but those that"
    " .dockerignore names. `-` reads the context, a tar archive, from stdin.",
    operands="PATH|-",
    at_least=1,
    at_most=1,
    options=(
        option("--add-host", "list", "Put a line NAME:ADDRESS into /etc/hosts of the steps"),
        option("--build-arg", "list", "Set an ARG, NAME=VALUE; NAME takes it from here"),
        option("--check", "bool", "Check the Dockerfile, build nothing"),
        option("--cpu-period", "int", "Length of a scheduler period in microseconds"),
        option("--cpu-quota", "int", "Processor time for each period in microseconds"),
        option("--cpu-shares", "int", "Share of processor time beside others"),
        option("--cpuset-cpus", "string", "Run on these CPUs alone, such as 0-3 or 0,1"),
        option("-f --file", "string", "The Dockerfile (PATH/Dockerfile)", completes="file"),
        option("--force-rm", "bool", "Accepted: a step's container never stays"),
        option("--iidfile", "string", "Write the image's id into this file", completes="file"),
        option("--label", "list", "Set a label of the image, NAME=VALUE"),
        option("-m --memory", "bytes", "Limit memory of each step, such as 512m"),
        option("--network", "string", "Network of the steps"),
        option("--no-cache", "bool", "Do every step again"),
        PLATFORM,
        option("--pull", "bool", "Ask the registry for newer base images"),
        option("-q --quiet", "bool", "Print the image's id alone"),
        option("--rm", "bool", "Accepted: a step's container never stays", default=True),
        option("--shm-size", "bytes", "Size of /dev/shm of the steps"),
        option("-t --tag", "list", "Name the image, NAME[:TAG]"),
        option("--target", "string", "Stop at this stage"),
    ),
    completes="dir",
    examples=(
        ("sampan build -t app .", "Build the Dockerfile of this directory and call it app."),
        ("sampan build --target test --build-arg V=2 .", "Build the stage `test`."),
    ),
)


def run(session: Session, args: Arguments) -> int | None:
    where = args.operands[0]
    if args["check"]:
        return _check(session, args)
    dockerfile = args["file"] or ""
    query: dict[str, Any] = {
        "t": args["tag"],
        "buildargs": output_json(building.pairs(args["build-arg"], os.environ)),
        "labels": output_json(building.pairs(args["label"], {})),
        "target": args["target"] or None,
        "nocache": args["no-cache"] or None,
        "pull": args["pull"] or None,
        "q": args["quiet"] or None,
        "rm": 1,
        "networkmode": args["network"] or None,
        "platform": output.platform(args["platform"]),
        "memory": args["memory"] or None,
        "shmsize": args["shm-size"] or None,
        "cpuperiod": args["cpu-period"] or None,
        "cpuquota": args["cpu-quota"] or None,
        "cpushares": args["cpu-shares"] or None,
        "cpusetcpus": args["cpuset-cpus"] or None,
        "extrahosts": args["add-host"],
    }
    if where == "-":
        query["dockerfile"] = dockerfile or None
        with output.source("") as pieces:
            _send(session, args, query, pieces)
        return None
    if where.startswith(("http://", "https://", "git@", "git://")):
        raise args.fail(f"{where}: remote contexts are not supported yet", code=1)
    if not os.path.isdir(where):
        raise args.fail(f'unable to prepare context: path "{where}" is not a directory', code=1)
    query["dockerfile"] = name = building.dockerfile_in(where, dockerfile)
    _send(session, args, query, building.packed(where, name))
    return None


def _check(session: Session, args: Arguments) -> int:
    def base(name: str, _platform: str) -> dict[str, Any] | None:
        try:
            found = session.client.call("GET", f"/images/{name}/json")
        except errors.ApiError:
            return None
        parts = {"config": found.get("Config"), "os": found.get("Os")}
        return {**parts, "architecture": found.get("Architecture"), "variant": found.get("Variant")}

    given = building.pairs(args["build-arg"], os.environ)
    return linting.check(
        args.operands[0],
        args["file"] or "",
        sys.stdout,
        args={name: value for name, value in given.items() if value is not None},
        target=args["target"],
        platform=args["platform"] or "",
        base=base,
    )


def output_json(values: dict[str, str | None]) -> str | None:
    import json

    return json.dumps(values) if values else None


def _send(session: Session, args: Arguments, query: dict[str, Any], pieces: object) -> None:
    ids: list[str] = []
    headers = {"Content-Type": "application/x-tar"}
    response = session.client.stream("POST", "/build", query, pieces, headers)
    messages = session.client.messages(response)
    progress.show(messages, out=sys.stdout, on_aux=lambda aux: ids.append(str(aux.get("ID", ""))))
    if args["iidfile"] and ids:
        with open(args["iidfile"], "w") as file:
            file.write(ids[-1])
