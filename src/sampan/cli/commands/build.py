"""`sampan build`: an image from a Dockerfile and the files beside it."""

from __future__ import annotations

import os
import sys

from sampan.cli import (
    build_caches,
    build_inputs,
    build_outputs,
    building,
    linting,
    output,
    progress,
)
from sampan.cli.options import Command, option
from sampan.client import errors as client_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="build",
    aliases=("image build", "builder build"),
    summary="Make an image from a Dockerfile",
    description="The files of the directory PATH are the context, but those that .dockerignore"
    " names; an engine of this machine reads them where they lie. `-` reads the context, a tar"
    " archive or a lone Dockerfile, from stdin. A URL is fetched by the engine: a git repository"
    " (URL#REF:DIRECTORY), an archive or a Dockerfile.",
    operands="PATH|URL|-",
    at_least=1,
    at_most=1,
    options=(
        option("--add-host", "list", "Put a line NAME:ADDRESS into /etc/hosts of the steps"),
        option(
            "--annotation",
            "list",
            "Annotate the image, [LEVEL[PLATFORM],…:]KEY=VALUE: manifest, index,"
            " manifest-descriptor",
        ),
        option("--attest", "list", "Say what the image is made of: type=provenance[,mode=min|max]"),
        option("--allow", "list", "Let steps do network.host, security.insecure, device[=NAME]"),
        option("--build-arg", "list", "Set an ARG, NAME=VALUE; NAME takes it from here"),
        option(
            "--build-context",
            "list",
            "Name a further context, NAME=VALUE: a directory,"
            " URL, docker-image://IMAGE, oci-layout://DIRECTORY",
        ),
        option(
            "--cache-from",
            "list",
            "Take these images alone as the cache; or beside it"
            " type=registry,ref=NAME|type=local,src=DIRECTORY",
        ),
        option(
            "--cache-to",
            "list",
            "Give the cache away: type=inline|registry,ref=NAME|local,dest=DIRECTORY[,mode=max]"
            "[,mounts=true]",
        ),
        option("--cgroup-parent", "string", "Put the cgroups of the steps below this one"),
        option("--check", "bool", "Check the Dockerfile, build nothing"),
        option("--compress", "bool", "Accepted: what is sent needs no gzip", hidden=True),
        option("--cpu-period", "int", "Length of a scheduler period in microseconds"),
        option("--cpu-quota", "int", "Processor time for each period in microseconds"),
        option("-c --cpu-shares", "int", "Share of processor time beside others"),
        option("--cpuset-cpus", "string", "Run on these CPUs alone, such as 0-3 or 0,1"),
        option("--cpuset-mems", "string", "Use memory of these NUMA nodes alone"),
        option("--disable-content-trust", "bool", "Accepted", default=True, hidden=True),
        option("--explain", "bool", "Say of each step why it is done again"),
        option("-f --file", "string", "The Dockerfile (PATH/Dockerfile)", completes="file"),
        option("--force-rm", "bool", "Accepted: a step's container never stays"),
        option("--iidfile", "string", "Write the image's id into this file", completes="file"),
        option("--isolation", "string", "Isolation technology (Windows)", hidden=True),
        option("--label", "list", "Set a label of the image, NAME=VALUE"),
        option("--load", "bool", "Accepted: the image always is one of the engine's"),
        option("-m --memory", "bytes", "Limit memory of each step, such as 512m"),
        option("--memory-swap", "swap", "Limit memory and swap together; -1: swap without limit"),
        option(
            "--metadata-file",
            "string",
            "Write digests and names into this file, JSON",
            completes="file",
        ),
        option("--network", "string", "Network of the steps"),
        option("--no-cache", "bool", "Do every step again"),
        option("--no-cache-filter", "list", "Do every step of these stages again"),
        option(
            "-o --output",
            "list",
            "Deliver the result: type=local|tar|oci|docker,dest=PATH,"
            " type=image|registry,name=NAME[,compression=zstd]; a directory; - is a tar on stdout",
        ),
        option("--platform", "list", "Build for these, os/arch[/variant],…: an index of several"),
        option(
            "--provenance",
            "string",
            "The same as --attest type=provenance: true, false, or mode=min|max (min with a push"
            " or an OCI archive)",
        ),
        option("--pull", "bool", "Ask the registry for newer base images"),
        option("--push", "bool", "Push the image: --output=type=registry"),
        option("-q --quiet", "bool", "Print the image's id alone"),
        option("--rm", "bool", "Accepted: a step's container never stays", default=True),
        option("--sbom", "string", "Not supported yet"),
        option("--secret", "list", "Give steps a secret: id=NAME[,src=FILE|,env=VARIABLE]"),
        option("--security-opt", "list", "Security options (Windows)", hidden=True),
        option("--shm-size", "bytes", "Size of /dev/shm of the steps"),
        option("--squash", "bool", "One layer for all steps: the engine refuses it", hidden=True),
        option("--ssh", "list", "Give steps an ssh agent: default, or ID=SOCKET"),
        option("-t --tag", "list", "Name the image, NAME[:TAG]"),
        option("--target", "string", "Stop at this stage"),
        option("--ulimit", "ulimit", "Set a resource limit of the steps, NAME=SOFT[:HARD]"),
    ),
    completes="dir",
    examples=(
        ("sampan build -t app .", "Build the Dockerfile of this directory and call it app."),
        ("sampan build --target test --build-arg V=2 .", "Build the stage `test`."),
    ),
)


def run(session: Session, args: Arguments) -> int | None:
    where = args.operands[0]
    if args["isolation"] not in ("", "default"):
        raise args.fail(f"--isolation={args['isolation']} is of Windows alone", code=1)
    if args["check"]:
        return _check(session, args)
    outputs = build_outputs.wanted(args)
    told, along = build_inputs.contexts(session, args["build-context"])
    query = _query(args) | {
        "outputs": _json(build_outputs.told(outputs)),
        "provenance": build_outputs.attested(args, outputs),
        "contexts": _json(told),
        "agents": _json(build_inputs.agents(args["ssh"], os.environ)),
        "secrets": _kept(session, build_inputs.secrets(args["secret"], os.environ)),
        "cacheimports": _json(build_caches.imports(session, args["cache-from"])),
        "cacheexports": _json(build_caches.exports(session, args["cache-to"])),
    }
    made = _built(session, args, query, where, along)
    build_outputs.deliver(session, outputs, made.get("Outputs", ""))
    if args["iidfile"]:
        with open(args["iidfile"], "w") as file:
            file.write(made.get("ID", ""))
    if args["metadata-file"]:
        import json

        with open(args["metadata-file"], "w") as file:
            json.dump(build_outputs.metadata(made.get("Metadata") or {}), file, indent=2)
    return None


def _query(args: Arguments) -> dict[str, Any]:
    return {
        "t": args["tag"],
        "allow": args["allow"],
        "buildargs": _json(building.arguments(args["build-arg"], os.environ)),
        "cachefrom": _json([text for text in args["cache-from"] if "=" not in text]),
        "explain": args["explain"] or None,
        "labels": _json(building.pairs(args["label"], {})),
        "target": args["target"] or None,
        "nocache": args["no-cache"] or None,
        "nocachefilter": [name for text in args["no-cache-filter"] for name in text.split(",")],
        "pull": args["pull"] or None,
        "q": args["quiet"] or None,
        "rm": 1,
        "networkmode": args["network"] or None,
        "platform": ",".join(args["platform"]) or None,
        "memory": args["memory"] or None,
        "shmsize": args["shm-size"] or None,
        "cpuperiod": args["cpu-period"] or None,
        "cpuquota": args["cpu-quota"] or None,
        "cpushares": args["cpu-shares"] or None,
        "cpusetcpus": args["cpuset-cpus"] or None,
        "cpusetmems": args["cpuset-mems"] or None,
        "memswap": args["memory-swap"] or None,
        "cgroupparent": args["cgroup-parent"] or None,
        "ulimits": _json(args["ulimit"]),
        "securityopt": args["security-opt"],
        "squash": args["squash"] or None,
        "extrahosts": args["add-host"],
    }


def _built(
    session: Session, args: Arguments, query: dict[str, Any], where: str, along: dict[str, str]
) -> dict[str, Any]:
    dockerfile = args["file"] or ""
    if along and (where == "-" or building.is_remote(where)):
        raise args.fail("--build-context with a directory needs a PATH to travel with", code=1)
    if where == "-":
        query["dockerfile"] = dockerfile or None
        with output.source("") as pieces:
            return _send(session, args, query, _archive_or_text(pieces))
    if building.is_remote(where):
        return _send(session, args, {**query, "remote": where, "dockerfile": dockerfile}, b"")
    if not os.path.isdir(where):
        raise args.fail(f'unable to prepare context: path "{where}" is not a directory', code=1)
    text = None
    if dockerfile == "-":
        text, name = sys.stdin.buffer.read(), building.OUTSIDE
    elif dockerfile and building.is_outside(where, dockerfile):
        with open(dockerfile, "rb") as file:
            text, name = file.read(), building.OUTSIDE
    else:
        name = building.dockerfile_in(where, dockerfile)
    query["dockerfile"] = name
    token = None if along or text is not None else build_inputs.lent(session, where)
    if token:
        return _send(session, args, {**query, "context": token}, b"")
    return _send(session, args, query, building.packed(where, name, along, text))


def _archive_or_text(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A lone Dockerfile becomes a context of itself."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _HEAD:
            break
    if head[257:262] == b"ustar" or head.startswith(_PACKED):
        yield head
        yield from pieces
    else:
        yield from building.lone(head + b"".join(pieces))


_HEAD = 512
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


def _kept(session: Session, secrets: dict[str, bytes]) -> str | None:
    """The token by which the engine knows them."""
    if not secrets:
        return None
    import binascii

    body = {
        name: binascii.b2a_base64(value, newline=False).decode() for name, value in secrets.items()
    }
    return str(session.client.call("POST", "/sampan/build/secrets", None, body)["Token"])


def _check(session: Session, args: Arguments) -> int:
    def base(name: str, _platform: str) -> dict[str, Any] | None:
        try:
            found = session.client.call("GET", f"/images/{name}/json")
        except client_errors.ApiError:
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
        platform=args["platform"][0].partition(",")[0] if args["platform"] else "",
        base=base,
    )


def _json(values: Mapping[str, str | None] | Sequence[Any]) -> str | None:
    import json

    return json.dumps(values) if values else None


def _send(
    session: Session, args: Arguments, query: dict[str, Any], pieces: object
) -> dict[str, Any]:
    """What the engine says of the result: "ID", "Outputs" (a token), "Metadata"."""
    said: dict[str, Any] = {}
    headers = {"Content-Type": "application/x-tar", **build_inputs.registry_config(session.config)}
    response = session.client.stream("POST", "/build", query, pieces, headers)
    messages = session.client.messages(response)
    # With a tar on stdout the words go where they do not spoil it.
    out = sys.stderr if _to_stdout(args) else sys.stdout
    progress.show(messages, out=out, on_aux=said.update)
    return said


def _to_stdout(args: Arguments) -> bool:
    return any(build_outputs.parse(text).dest == "-" for text in args["output"])
