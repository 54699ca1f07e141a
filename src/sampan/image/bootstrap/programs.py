"""The distribution's own programs, run with their last words kept."""

from __future__ import annotations

import shutil
import subprocess
from collections import deque
from typing import TYPE_CHECKING

from sampan.image.bootstrap.errors import BootstrapFailed
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LAST = 12
_PASSED = ("Acquire::http", "Acquire::https", "Acquire::Check", "Acquire::Retries")


def need(*names: str) -> None:
    """Raises Unsupported where a program is not installed."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise errors.Unsupported(f"not installed: {', '.join(missing)} (apt-get install them)")


def output(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BootstrapFailed(words[0], said[-_LAST:])
    return done.stdout


def follow(
    what: str,
    words: Sequence[str],
    environment: dict[str, str],
    heard: Callable[[str], object],
) -> None:
    """Run to the end; each line that it says, on either stream, is `heard`."""
    last: deque[str] = deque(maxlen=_LAST)
    with subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if text := line.strip():
                    last.append(text)
                    heard(text)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise BootstrapFailed(what, list(last))


def apt_options() -> list[str]:
    """What the host's apt needs to reach its archives (proxies, checks), as apt.conf lines."""
    if shutil.which("apt-config") is None:
        return []
    lines = output("apt-config", "dump").splitlines()
    return [line for line in lines if line.startswith(_PASSED) and not line.endswith(' "";')]
