"""Which architectures' programs run: the host's own, and those with an interpreter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sampan.linux import binfmt

ARM64 = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def test_an_interpreter_that_is_registered_and_enabled_counts(tmp_path: Path) -> None:
    foreign = "arm64" if os.uname().machine == "x86_64" else "riscv64"
    if foreign != "arm64":
        pytest.skip("the sample is of arm64")
    assert not binfmt.runs("arm64", str(tmp_path))
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "qemu-aarch64").write_text(ARM64)
    assert binfmt.runs("arm64", str(tmp_path))
    assert not binfmt.runs("riscv64", str(tmp_path))
    (tmp_path / "qemu-aarch64").write_text(ARM64.replace("enabled", "disabled"))
    assert not binfmt.runs("arm64", str(tmp_path))


def test_the_hosts_own_need_none(tmp_path: Path) -> None:
    own = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
    assert own is None or binfmt.runs(own, str(tmp_path / "nowhere"))
    assert not binfmt.runs("vax", str(tmp_path))
