import os
import signal

import pytest

from sampan.linux import proc


def test_a_process_is_known_by_its_start():
    pid = os.fork()
    if pid == 0:
        signal.pause()
    assert proc.start_time(pid) >= proc.start_time(os.getpid()) > 0
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert proc.state(pid) == "Z"
    os.waitpid(pid, 0)
    with pytest.raises(FileNotFoundError):
        proc.start_time(pid)


def test_memory_and_boot():
    assert proc.meminfo()["MemTotal"] > 64 << 20
    assert len(proc.boot_id()) == 36
