"""`system check` finds what a disk or a hand has done, and repairs what loses nothing."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.dockerapi.test_containers import remove
from tests.dockerapi.test_remote import sampan
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


def ask(engine: Engine, tmp_path: Path, *words: str) -> tuple[int, str]:
    done = sampan(tmp_path, "-H", engine.docker_host, "system", *words)
    assert b"Traceback" not in done.stderr and done.stderr == b"", done.stderr
    return done.returncode, done.stdout.decode()


def test_problems_are_found_named_and_repaired(own_engine: Engine, tmp_path: Path) -> None:
    engine, root = own_engine, own_engine.paths.root
    container = engine.create("true", name="whole")
    engine.request("POST", "/volumes/create", {"Name": "kept"})
    engine.request("POST", "/volumes/create", {"Name": "lost"})
    assert ask(engine, tmp_path, "check") == (0, "no problems\n")

    shutil.rmtree(f"{root}/volumes/lost")
    os.makedirs(f"{root}/volumes/found/_data")
    Path(f"{root}/volumes/found/_data/file").write_text("x")
    orphan = "f" * 64
    os.makedirs(f"{root}/containers/{orphan}")
    digest = hashlib.sha256(b"right").hexdigest()
    blob = Path(f"{root}/content/blobs/sha256/{digest}")
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(b"wrong")
    left = Path("/sys/fs/cgroup/pids" if os.path.isdir("/sys/fs/cgroup/pids") else "/sys/fs/cgroup")
    left /= f"{engine.paths.cgroup_parent[1:]}/{orphan}"
    left.mkdir(parents=True)

    code, said = ask(engine, tmp_path, "check")
    assert code == 1 and "5 problems, 5 left" in said
    for sentence in (
        "volume lost has lost its directory",
        f"{root}/volumes/found is no volume that the database knows",
        "files of a container that is gone, ffffffffffff",
        f"blob sha256:{digest} is damaged",
        "a cgroup of no running container, ffffffffffff, empty",
    ):
        assert sentence in said
    assert blob.exists() and left.exists()

    code, said = ask(engine, tmp_path, "check", "--repair")
    assert code == 0 and "5 problems, 0 left" in said
    assert ask(engine, tmp_path, "check") == (0, "no problems\n")
    assert not left.exists() and not os.path.exists(f"{root}/containers/{orphan}")
    assert Path(f"{root}/damaged/{digest}").read_bytes() == b"wrong"
    names = {volume["Name"] for volume in engine.request("GET", "/volumes")[1]["Volumes"]}
    assert {"kept", "lost", "found"} <= names
    assert Path(f"{root}/volumes/found/_data/file").read_text() == "x"
    remove(engine, container)


def test_what_cannot_be_repaired_stays_named(own_engine: Engine, tmp_path: Path) -> None:
    engine = own_engine
    container = engine.create("true", name="hollow")
    (layer,) = Path(engine.paths.root, "snapshots").glob(f"*/c/{container}")
    shutil.rmtree(layer)
    code, said = ask(engine, tmp_path, "check", "--repair")
    assert code == 1 and "container hollow has lost its writable layer" in said
    assert "to do: it cannot start again: sampan rm -f hollow" in said


def test_a_diagnosis_names_what_the_host_lacks(engine: Engine, tmp_path: Path) -> None:
    code, said = ask(engine, tmp_path, "info", "--diagnose")
    assert code == 0
    lines = {line[8:].split("  ")[0]: line[:7].strip() for line in said.splitlines()}
    assert {"root", "cgroups", "snapshots", "seccomp", "nft"} <= set(lines)
    assert lines["root"] == "ok"
    status = "ok" if shutil.which("mmdebstrap") else "lacking"
    assert lines["mmdebstrap"] == status
