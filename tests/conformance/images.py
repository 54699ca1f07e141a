"""Images that other people's suites name, made of Debian's packages: nothing is pulled.

One root file system has Python and a registry; what makes an image of it is its command. `publish`
brings them to the hub of the island.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.conformance.island import HUB
from tests.voyage.programs import Engine

PACKAGES = "python3,docker-registry,busybox-static,ca-certificates"
PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
REGISTRY = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
"""
FILES = {
    "etc/docker/registry/config.yml": REGISTRY,
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
}
FINISH = r"""
set -e
cd "$1"
mkdir -p tmp root dev proc sys run
chmod 1777 tmp
ln -sf python3 usr/bin/python
mkdir -p etc/docker/registry
for applet in $(bin/busybox --list); do
  [ -e "bin/$applet" ] || [ -e "usr/bin/$applet" ] || ln -sf busybox "bin/$applet"
done
"""
# name → the changes that make it of the one root file system
RECIPES = {
    "python": ['CMD ["python3"]'],
    "registry": [
        "EXPOSE 5000/tcp",
        'ENTRYPOINT ["docker-registry"]',
        'CMD ["serve", "/etc/docker/registry/config.yml"]',
    ],
}


def debian(work: Path) -> Path:
    """The root file system as a tar, made once."""
    archive = work / "debian.tar"
    if not archive.is_file():
        tree, made = work / "tree", work / "making.tar"
        build = ["mmdebstrap", "-q", "--variant=extract", f"--include={PACKAGES}", "bookworm"]
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run([*build, str(tree)], check=True)
        subprocess.run(["sh", "-c", FINISH, "finish", str(tree)], check=True)
        for name, text in FILES.items():
            (tree / name).write_text(text)
        subprocess.run(["tar", "-C", str(tree), "-cf", str(made), "."], check=True)
        made.rename(archive)
        shutil.rmtree(tree)
    return archive


def load(engine: Engine, archive: Path, names: dict[str, str]) -> None:
    """`names`: image → its recipe. The first of a recipe is imported, the rest are tags of it."""
    cli = engine.cli("sampan")
    done: dict[str, str] = {}
    for name, recipe in names.items():
        if recipe in done:
            cli("tag", done[recipe], name)
            continue
        changes = [word for change in (PATH, *RECIPES[recipe]) for word in ("--change", change)]
        cli("import", *changes, str(archive), name, timeout=120)
        done[recipe] = name


def publish(engine: Engine, *names: str) -> None:
    """Images that are here go to the hub."""
    cli = engine.cli("sampan")
    for name in names:
        remote = f"{HUB}/{name if '/' in name else f'library/{name}'}"
        cli("tag", name, remote)
        cli("push", remote, timeout=120)
        cli("rmi", remote)
