"""The same rules where openat2(2) and the newer mount calls answer ENOSYS, as on an older kernel.

A seccomp filter in front of the program says so: no kernel is mocked, only less of it is there.
"""

import pathlib
import shutil
import tempfile

import pytest

from tests.conformance.test_oci_runtime import SOURCE, Runtime
from tests.runtime.security.harness import command
from tests.runtime.security.test_rules import RULES

OPENAT2 = (437,)
MOUNT_CALLS = (428, 429, 430, 431, 432, 433, 442)  # open_tree … fspick, mount_setattr
_FILTER = """
import struct
from sampan.linux import seccomp
calls = {calls!r}
program = struct.pack("HBBI", 0x20, 0, 0, 0)
for index, number in enumerate(calls):
    program += struct.pack("HBBI", 0x15, len(calls) - index, 0, number)
program += struct.pack("HBBI", 6, 0, 0, 0x7FFF0000) + struct.pack("HBBI", 6, 0, 0, 0x50000 | 38)
seccomp.load(program)
"""
KINDS = {"openat2": OPENAT2, "mount": MOUNT_CALLS, "both": OPENAT2 + MOUNT_CALLS}


@pytest.fixture
def without():
    """Makes a runtime that some calls are missing for; not below tmp_path, which is root's only."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="smp-lesser-"))
    directory.chmod(0o755)
    made = []

    def make(kind):
        made.append(Runtime(command(SOURCE, _FILTER.format(calls=KINDS[kind])), directory, kind))
        return made[-1]

    yield make
    for runtime in made:
        for container in runtime.made:
            runtime("delete", "--force", container, fails=True)
    shutil.rmtree(directory)


@pytest.fixture(params=KINDS)
def lesser(request, without):
    return without(request.param)


def test_a_container_is_the_same(lesser):
    (lesser.rootfs / "secret").mkdir()
    (lesser.rootfs / "secret/file").write_text("")
    (lesser.rootfs / "etc/key").write_text("key")
    (lesser.rootfs / "link").symlink_to("/made/by/link")
    volume = lesser.bundle / "volume"
    volume.mkdir()
    (volume / "here").write_text("here\n")
    lesser.config["root"]["readonly"] = True
    lesser.config["linux"]["maskedPaths"] = ["/secret", "/etc/key", "/proc/kcore"]
    lesser.config["mounts"] += [
        {"destination": "/link", "source": "volume", "options": ["rbind", "ro", "nosuid"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "mode=711"]},
    ]
    done = lesser.run(
        "sh", "-c", "cat /made/by/link/here; ls /secret; cat /etc/key; cat /proc/mounts"
    )
    assert done.stderr == ""
    first, *lines = done.stdout.splitlines()
    assert first == "here"
    found = {line.split()[1]: line.split()[3].split(",") for line in lines}
    assert {"ro", "nosuid"} <= set(found["/made/by/link"])
    for path in ("/", "/tmp", "/secret", "/proc/sys"):
        assert "ro" in found[path], path
    assert "rw" in found["/dev"]


@pytest.mark.parametrize("kind", ["mount", "both"])
def test_what_needs_the_newer_calls_is_refused(kind, without):
    lesser = without(kind)
    volume = {"destination": "/tmp", "source": "/etc", "options": ["rbind", "rro"]}
    lesser.config["mounts"].append(volume)
    done = lesser.run("true")
    assert done.returncode == 1
    assert "/tmp" in done.stderr
    assert "not implemented" in done.stderr


_HOLDING = [rule for rule in RULES if not (rule.values[0].also or rule.values[0].newer)]


@pytest.mark.parametrize("rule", _HOLDING)
def test_the_rules_hold(rule, without):
    rule.check(without("both"))
