"""Every Python from 3.11 on that this host has understands every source, without a warning."""

import glob
import os
import re
import subprocess

import pytest

PLACES = ("/usr/bin", "/usr/local/bin", os.path.expanduser("~/.pyenv/versions/*/bin"))
PROGRAM = """
import importlib, os, pathlib, sys
for path in sorted(pathlib.Path("src").rglob("*.py")):
    compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
sys.path.insert(0, "src")
for room in ("kit", "linux", "spec", "runtime", "shim", "client", "cli/oci"):
    for path in sorted(pathlib.Path("src/sampan", room).rglob("*.py")):
        name = str(path.with_suffix("").relative_to("src")).replace("/", ".")
        importlib.import_module(name.removesuffix(".__init__"))
from sampan.cli import sampand_options
sampand_options.parser()  # 3.14 knows no option --no-X of two answers
"""


def found():
    """Version → an interpreter of that version."""
    pythons = {}
    for place in PLACES:
        for path in sorted(glob.glob(f"{place}/python3.*")):
            version = re.fullmatch(r"python3\.(\d+)", os.path.basename(path))
            if version and int(version[1]) >= 11:
                pythons.setdefault(f"3.{version[1]}", path)
    return pythons


@pytest.mark.parametrize("version", sorted(found()))
def test_every_source_is_understood(version):
    command = [found()[version], "-IBS", "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
