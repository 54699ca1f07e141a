"""After its warm-up the spawner imports nothing more, so all that its children need is loaded."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
NEVER = {  # what an engine's container does not come to, and why
    "sampan.linux.cgroup.hybrid": "another host's manager; the rehearsal loads this host's",
    "sampan.linux.cgroup.v1": "as hybrid",
    "sampan.linux.cgroup.v2": "as hybrid",
    "sampan.linux.cgroup.systemd": "loaded where systemd is PID 1",
    "sampan.linux.cgroup.unit_properties": "as systemd",
    "sampan.runtime.rootless": "the engine is root",
    "sampan.runtime.notify": "sampan-oci, where its caller has a $NOTIFY_SOCKET",
    "tty": "sampan-oci, on a terminal of its own",
    "sampan.runtime.no_cgroup": "the engine's containers have one",
    "sampan.runtime.copy_up": "the engine copies into volumes by itself",
    "sampan.image.tar.bytecode": "layers of builds alone have a latest time",
    "calendar": "the engine alone reads times",
    "ipaddress": "the engine alone makes rules of a policy",
}
WARM = """
import json, sys
from sampan.linux import seccomp
from sampan.shim import spawner
seccomp.cache_directory = sys.argv[1]  # where the default filter is found, so nothing compiles it
spawner._warm_up()
named = {n: getattr(m, "__file__", None) for n, m in sys.modules.items()}
print(json.dumps(named))
"""


def late_imports(path: str) -> Iterator[str]:
    """The modules that functions of this file import."""
    for function in ast.walk(ast.parse(Path(path).read_text())):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    place = SOURCE.joinpath(*whole.split("."))
                    is_module = place.is_dir() or place.with_suffix(".py").exists()
                    yield whole if is_module else node.module


def test_what_the_spawner_would_import_late_is_loaded_before(tmp_path: Path) -> None:
    for _ in range(2):  # the second finds the default filter compiled
        done = subprocess.run(
            [sys.executable, "-c", WARM, str(tmp_path)],
            env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    loaded = json.loads(done.stdout)
    missing = {
        f"{wanted} (in {name})"
        for name, path in loaded.items()
        if name.startswith("sampan.") and path
        for wanted in late_imports(path)
        if wanted not in loaded and wanted not in NEVER
    }
    assert not missing
