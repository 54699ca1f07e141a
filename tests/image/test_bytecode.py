"""Python's bytecode in an archive without members younger than a given time."""

import io
import os
import py_compile
import subprocess
import sys
import tarfile

import pytest

from sampan.image import tar

EPOCH = 1_600_000_000  # before the files are written


def cut_off(directory) -> None:
    """Through an archive and back."""
    packed = io.BytesIO()
    writer = tar.Writer(packed.write, latest=EPOCH)
    tar.write_tree(writer, str(directory))
    writer.finish()
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(directory)


def imported(directory, *words: str) -> str:
    """What the module says; nothing is compiled anew and kept."""
    command = [sys.executable, "-B", *words, "-c", "import module; print(module.SAYS)"]
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("level", [0, 1])
def test_it_stays_good_for_its_source(tmp_path, level):
    source = tmp_path / "module.py"
    source.write_text("SAYS = 'compiled'\n")
    py_compile.compile(
        str(source), doraise=True, optimize=level,
        invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP,
    )  # fmt: skip
    cut_off(tmp_path)
    assert source.stat().st_mtime == EPOCH
    source.write_text("SAYS = 'a source'\n")
    os.utime(source, (EPOCH, EPOCH))
    assert imported(tmp_path, *["-O"] * level) == "compiled"


def test_what_was_not_good_is_not_made_good(tmp_path):
    source = tmp_path / "module.py"
    source.write_text("SAYS = 'compiled'\n")
    py_compile.compile(
        str(source), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP
    )
    source.write_text("SAYS = 'a source'\n")
    os.utime(source, (EPOCH + 10, EPOCH + 10))  # another time than the bytecode has
    cut_off(tmp_path)
    assert imported(tmp_path) == "a source"


@pytest.mark.parametrize("data", [b"", b"\xa7\r\r\n", b"no bytecode at all, whatever its name"])
def test_other_files_of_that_name_stay_as_they_are(tmp_path, data):
    (tmp_path / "module.py").write_text("")
    (tmp_path / "module.pyc").write_bytes(data)
    cut_off(tmp_path)
    assert (tmp_path / "module.pyc").read_bytes() == data
