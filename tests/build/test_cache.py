"""The record of steps: stages write it side by side."""

import threading
from pathlib import Path

from sampan.build.cache import Records


def test_stages_that_begin_together_make_it_once(tmp_path: Path) -> None:
    """Forty new records, each opened by four threads at once."""
    failures: list[Exception] = []

    def stage(root: str, start: threading.Barrier) -> None:
        start.wait()
        try:
            Records(root).get("step")
        except Exception as failure:
            failures.append(failure)

    for number in range(40):
        start = threading.Barrier(4)
        root = str(tmp_path / str(number))
        threads = [threading.Thread(target=stage, args=(root, start)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failures
