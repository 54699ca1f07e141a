"""`--chmod`: expected values are chmod(1)'s."""

import os
import subprocess
from pathlib import Path

import pytest

from sampan.build import modes
from sampan.build.errors import DockerfileError


@pytest.mark.parametrize(
    "text",
    ["755", "04711", "a=rX", "u+x", "go-rwx", "u=rwX,go=rX", "g=u", "u=rw,o+t", "ug+s", "a=", "o=g",
     "u+x-w", "g+s,u-s"],
)  # fmt: skip
@pytest.mark.parametrize("before", [0o640, 0o755, 0o4711, 0o2070])
@pytest.mark.parametrize("directory", [False, True])
def test_a_mode_is_changed_as_chmod_does(
    tmp_path: Path, text: str, before: int, directory: bool
) -> None:
    place = tmp_path / "x"
    place.mkdir() if directory else place.touch()
    place.chmod(before)
    # An octal mode is the whole mode; GNU's would keep a directory's set-ID bits.
    given = f"={text}" if text.isdigit() else text
    subprocess.run(["chmod", given, place], check=True)
    wanted = os.stat(place).st_mode & 0o7777
    assert f"{modes.changed(text, before, directory=directory):o}" == f"{wanted:o}"


@pytest.mark.parametrize("text", ["x", "u+q", "99", "u+x,", "+xu"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="invalid chmod parameter"):
        modes.check(text)
