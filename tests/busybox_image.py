"""A busybox image made of /usr/bin/busybox (Debian's busybox-static), for engines under test."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from typing import TYPE_CHECKING

from sampan.image import choice

if TYPE_CHECKING:
    from sampan.kit.paths import Paths

BUSYBOX = "/usr/bin/busybox"


def tree(top: str) -> None:
    """A root file system."""
    for name in ("bin", "etc", "tmp", "proc", "dev", "sys", "root", "data"):
        os.makedirs(f"{top}/{name}", exist_ok=True)
    os.chmod(f"{top}/tmp", 0o1777)
    shutil.copy(BUSYBOX, f"{top}/bin/busybox")
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if not os.path.lexists(f"{top}/bin/{name}"):
            os.symlink("busybox", f"{top}/bin/{name}")
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/home:/bin/sh\n",
        "etc/group": "root:x:0:\nwheel:x:10:root\nweb:x:33:\n",
        "data/from-image": "hello\n",
    }
    for name, text in files.items():
        with open(f"{top}/{name}", "w") as file:
            file.write(text)


def add(paths: Paths) -> None:
    """Give an engine the image `busybox`."""
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as top, tarfile.open(fileobj=packed, mode="w") as layer:
        tree(top)
        os.chmod(top, 0o755)
        layer.add(top, ".")
    diff_id = f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}"
    packed.seek(0)
    choice.choose(paths.root).unpack(diff_id, None, packed, diff_id)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    image_id, never = f"sha256:{'b' * 64}", "2026-01-01T00:00:00Z"
    db = sqlite3.connect(paths.database)
    try:
        db.execute(
            "insert into images (id, manifest, chain_id, config, created, size)"
            " values (?, ?, ?, ?, ?, ?)",
            (image_id, f"sha256:{'a' * 64}", diff_id, json.dumps(config), never, 1 << 20),
        )
        db.execute(
            "insert into names values ('docker.io/library/busybox:latest', ?, ?, ?)",
            (image_id, f"sha256:{'a' * 64}", never),
        )
        db.commit()
    finally:
        db.close()
