"""A build's own directory, while another build sweeps up what a killed engine left."""

import fcntl
import os
import tempfile

import pytest

from sampan.engine.builds import scratch


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_another_builds_sweep_takes_none_that_lives(tmp_path, monkeypatch, moment):
    """The other one comes between two calls of ours; once, or it would never end."""
    module, name = (tempfile, "mkdtemp") if "opened" in moment else (fcntl, "flock")
    real, came = getattr(module, name), []

    def swept(*args, **kwargs):
        monkeypatch.setattr(module, name, real)
        came.append(True)
        if module is fcntl:
            scratch.sweep(str(tmp_path))
            return real(*args, **kwargs)
        made = real(*args, **kwargs)
        scratch.sweep(str(tmp_path))
        return made

    monkeypatch.setattr(module, name, swept)
    with scratch.directory(str(tmp_path)) as place:
        assert came
        scratch.sweep(str(tmp_path))
        assert os.path.isdir(place)
    assert os.listdir(tmp_path / "build/tmp") == []
