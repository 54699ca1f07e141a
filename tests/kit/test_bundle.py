"""A program that imports from its bundle is the program its sources say."""

import os
import subprocess
import sys

import pytest

from sampan.kit import bundle

START = """\
import marshal, posix, sys
sys.path.insert(0, {source!r})
fd = posix.open({file!r}, posix.O_RDONLY)
size = int.from_bytes(posix.read(fd, 4), "little")
code, modules = marshal.loads(posix.read(fd, size))
exec(code)
install(fd, 4 + size, modules)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `parcel` with a module `part`, and its bundle."""
    (tmp_path / "parcel").mkdir()
    (tmp_path / "parcel/__init__.py").write_text("name = 'parcel'\n")
    (tmp_path / "parcel/part.py").write_text("from parcel import name\nvalue = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    bundle.write(str(tmp_path / "bundle"), ["parcel", "parcel.part"])
    for name in ("parcel", "parcel.part"):
        sys.modules.pop(name, None)
    return tmp_path


def run(package, code):
    start = START.format(source=str(package), file=str(package / "bundle"))
    return subprocess.run(
        [sys.executable, "-IS", "-c", start + code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_modules_come_from_the_bundle(package):
    code = "import parcel.part as p; print(type(p.__loader__).__name__, p.value, p.__file__)"
    assert run(package, code) == f"Finder 1 {package}/parcel/part.py"


def test_an_edited_module_is_imported_from_its_source(package):
    (package / "parcel/part.py").write_text("value = 'edited'\n")
    assert run(package, "import parcel.part; print(parcel.part.value, parcel.name)") == (
        "edited parcel"
    )


def test_a_removed_module_is_gone(package):
    (package / "parcel/part.py").unlink()
    code = (
        "try:\n    import parcel.part\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    )
    assert run(package, code) == "parcel.part"


def test_what_is_in_no_bundle_is_imported_as_usual(package):
    (package / "parcel/other.py").write_text("value = 2\n")
    assert run(package, "import parcel.other; print(parcel.other.value)") == "2"


def test_a_caller_may_hand_on_the_descriptors_that_it_means(package):
    """The bundle's own is far above, and no child of ours has it."""
    code = (
        "import os, parcel; print(*os.listdir('/proc/self/fd'), flush=True);"
        "os.execv('/bin/ls', ['ls', '/proc/self/fd'])"
    )
    before, *after = run(package, code).splitlines()
    assert before.split() == ["0", "1", "2", "3", "500"]  # 3 is the directory that is listed
    assert after == ["0", "1", "2", "3"]


def test_a_module_without_source_is_named(tmp_path):
    with pytest.raises(ImportError, match="sys has no source"):
        bundle.write(str(tmp_path / "bundle"), ["sys"])
    assert not os.path.exists(tmp_path / "bundle")


def test_output_that_cannot_be_written_is_no_success():
    code = "from sampan.kit.ending import leave; print('text'); leave(0)"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, env={"PYTHONPATH": "src"})
    assert done.returncode == 120
