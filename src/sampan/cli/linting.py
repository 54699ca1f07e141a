"""`sampan build lint` and `sampan build --check`: a Dockerfile of this machine, looked at."""

from __future__ import annotations

import os

from sampan.build import checks, dockerfile, ignore, scope, walking
from sampan.build.errors import DockerfileError, excerpt
from sampan.cli import building
from sampan.kit import errors
from sampan.spec import oci_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TextIO

    Base = Callable[[str, str], Mapping[str, Any] | None]


def check(
    directory: str,
    given: str,
    out: TextIO,
    *,
    args: Mapping[str, str] = {},
    target: str = "",
    platform: str = "",
    base: Base = lambda _name, _platform: None,
) -> int:
    """The exit code: 1 if there is anything to say."""
    name = building.dockerfile_in(directory, given)
    with open(os.path.join(directory, name), errors="surrogateescape") as file:
        text = file.read()
    runs_on = oci_image.parse_platform(platform) if platform else oci_image.host_platform()
    try:
        inputs = checks.Inputs(
            platform=scope.Platform(
                os=runs_on.os, architecture=runs_on.architecture, variant=runs_on.variant
            ),
            args=args,
            target=target,
            alone=True,
            ignored=_ignored(directory, name),
            base=base,
        )
        warnings = checks.look(dockerfile.parse(text), inputs)
    except DockerfileError as error:
        raise errors.InvalidArgument(f"{excerpt(error, text, name)}\n{error}".lstrip()) from None
    out.write(checks.full(warnings, text, name))
    return 1 if warnings else 0


def _ignored(directory: str, name: str) -> ignore.Matcher | None:
    text = walking.ignore_file(directory, name)
    return None if text is None else ignore.Matcher(ignore.read(text))
