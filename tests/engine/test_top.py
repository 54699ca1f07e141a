import asyncio
from types import SimpleNamespace

import pytest

from sampan.engine.containers.top import top
from sampan.kit import errors


def test_a_host_without_ps_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    container = SimpleNamespace(require_running=lambda: None, cgroup="/smp-no-such")
    with pytest.raises(errors.Unsupported, match="apt install procps"):
        asyncio.run(top(container))
