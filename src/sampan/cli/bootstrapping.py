"""`image bootstrap`: build the image here, then hand its archive to the engine.

The work is `sampan.image.bootstrap`'s; this is its face: options to recipe, lines of progress, and
the archive's way to a file or to `POST /images/load`.
"""

from __future__ import annotations

import shlex
import sys
import tempfile

from sampan.cli import progress
from sampan.cli.parse import env_file
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

PIECE = 1 << 20


def run(session: Session, args: Arguments) -> None:
    """Raises UsageError, and what `image.bootstrap` raises."""
    _check(args)
    if args["output"]:
        with open(args["output"], "wb") as file:
            _build(args, file)
        return
    session.client.ping()  # an engine that is not there is better noticed before the work
    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        _build(args, file)
        file.seek(0)
        pieces: Iterator[bytes] = iter(lambda: file.read(PIECE), b"")
        response = session.client.stream("POST", "/images/load", {"quiet": True}, pieces)
        progress.show(session.client.messages(response))


def _check(args: Arguments) -> None:
    source = args.operands[0]
    distribution, _, suite = source.partition(":")
    if distribution not in ("debian", "ubuntu", "busybox") or (suite and distribution == "busybox"):
        raise args.fail(
            f"nothing is known about {source!r}: write debian:SUITE, ubuntu:SUITE or busybox",
            code=1,
        )


def _build(args: Arguments, out: IO[bytes]) -> None:
    bootstrap = _bootstrap()
    recipe = bootstrap.Recipe(
        source=args.operands[0],
        include=tuple(args["include"]),
        run=tuple(args["run"]),
        mirror=args["mirror"],
        config=image_config(args),
        tags=tuple(args["tag"]) or (args.operands[0],),
    )
    bootstrap.build(recipe, out, _say)


def _bootstrap() -> Any:
    try:
        return __import__("sampan.image.bootstrap", fromlist=["build"])
    except ModuleNotFoundError as error:
        raise errors.Unsupported("this build of sampan cannot bootstrap images") from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def image_config(args: Arguments) -> dict[str, Any]:
    """The options as an OCI image's `config` (image-spec, config.md); empty members left out."""
    config = {
        "User": args["user"],
        "ExposedPorts": {port: {} for group in args["expose"] for port in group},
        "Env": env_file.resolve(args["env"]),
        "Entrypoint": words(args["entrypoint"]),
        "Cmd": words(args["cmd"]),
        "Volumes": {path: {} for path in args["volume"]},
        "WorkingDir": args["workdir"],
        "Labels": dict(entry.partition("=")[::2] for entry in args["label"]),
        "StopSignal": args["stop-signal"],
    }
    return {key: value for key, value in config.items() if value}


def words(text: str) -> list[str]:
    """`nginx -g "daemon off;"` or `["nginx", "-g", "daemon off;"]` as a list."""
    if not text.lstrip().startswith("["):
        try:
            return shlex.split(text)
        except ValueError as error:
            raise errors.InvalidArgument(f"{text!r}: {str(error).lower()}") from error
    import json

    try:
        found = json.loads(text)
    except ValueError as error:
        raise errors.InvalidArgument(f"{text!r} is no JSON list: {error}") from error
    if not all(isinstance(word, str) for word in found):
        raise errors.InvalidArgument(f"{text!r} is no list of strings")
    return list(found)
