"""Which AppArmor profile a container gets, and the kernel's copy of the default one.

Docker's rules: what `--security-opt apparmor=` names, else none for a privileged container, else
the default. A host without AppArmor takes the option and confines nothing.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from sampan.kit import atomic
from sampan.linux import apparmor
from sampan.spec import docker_apparmor

if TYPE_CHECKING:
    from sampan.kit.paths import Paths

log = logging.getLogger("sampan")
UNCONFINED = "unconfined"
_PARSER = "apparmor_parser"


class Confinement:
    """This host's AppArmor. `default` is the profile of containers that name none."""

    def __init__(self) -> None:
        self.there = apparmor.enabled()
        self.default = UNCONFINED
        self.problem = ""

    def prepare(self, paths: Paths) -> None:
        """Have the default profile in the kernel. Blocking. Where that fails, containers start
        without it, as they would without AppArmor, and `info` warns."""
        if not self.there:
            return
        try:
            _load(f"{paths.run}/apparmor")
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            self.problem = f"AppArmor is on, but {docker_apparmor.NAME} cannot be loaded: {said}"
            log.warning("%s", self.problem.strip())
        else:
            self.default = docker_apparmor.NAME

    def of(self, host: dict[str, Any], named: str = "") -> str:
        """The profile of a container with this HostConfig; "" where the host has no AppArmor."""
        if not self.there:
            return ""
        return named or (UNCONFINED if host.get("Privileged") else self.default)


def process(profile: str) -> dict[str, str]:
    """What an OCI process says of it."""
    return {"apparmorProfile": profile} if profile not in ("", UNCONFINED) else {}


def _load(stamp: str) -> None:
    """Tell the kernel, unless it has been told this very text since it was booted."""
    digest = hashlib.sha256(docker_apparmor.TEXT.encode()).hexdigest()
    if docker_apparmor.NAME in apparmor.profiles() and _read(stamp) == digest:
        return
    parser = shutil.which(_PARSER, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if parser is None:
        raise FileNotFoundError(f"{_PARSER} is not installed (apt install apparmor)")
    subprocess.run(
        [parser, "--replace", "--skip-cache"],
        input=docker_apparmor.TEXT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    atomic.write(stamp, digest.encode(), sync=False)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
