"""What the C library does with memory that was freed."""

from __future__ import annotations

import subprocess
import sys

# Blocks that malloc serves from its heap; the last one stays, so that nothing shrinks by itself.
_PROGRAM = """
from sampan.linux import heap
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
blocks = [bytes(4000) for _ in range(16000)]
del blocks[:-1]
before = resident()
heap.give_back()
print(before - resident())
"""


def test_freed_memory_is_given_back() -> None:
    program = f"import sys; sys.path[:] = {sys.path!r}{_PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(done.stdout) > 50 << 20
