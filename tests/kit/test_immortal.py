"""On every Python that this host has: counted by the kernel, in pages that a child copies."""

import subprocess

import pytest

from tests.test_pythons import found

PROGRAM = """
import gc, os, sys, weakref
sys.path.insert(0, "src")
from sampan.kit import immortal

class Thing: pass

def copied():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))

# One object in each page: who counts a reference to it copies the page
heap = [Thing() for _ in range(200_000)]
made = immortal.everything()
gc.disable()
if os.fork() == 0:
    before = copied()
    for each in heap:
        pass
    print(made, copied() - before, flush=True)
    later = Thing()
    last = weakref.ref(later)
    del later
    os._exit(0 if last() is None else 1)
_, status = os.wait()
os._exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("version", sorted(found()))
def test_a_child_that_only_looks_copies_nothing(version):
    command = [found()[version], "-IBS", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made, copied = map(int, done.stdout.split())
    if version == "3.11":
        assert made == 0
        assert copied > 4096
    else:
        assert made > 200_000
        assert copied < 512
