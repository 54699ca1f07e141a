"""The small image: Debian's static busybox, its applets as links, and little else."""

from __future__ import annotations

import glob
import os
import subprocess
import tempfile
from typing import TYPE_CHECKING

from sampan.image import archive, tar
from sampan.image.bootstrap.recipe import Base, Layer
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.image import content

_PLACES = ("/usr/bin/busybox", "/bin/busybox")
_DIRECTORIES = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o755, "root": 0o700,
    "run": 0o755, "sbin": 0o755, "sys": 0o755, "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755,
    "usr/sbin": 0o755, "var": 0o755, "var/spool": 0o755, "var/tmp": 0o1777, "var/www": 0o755,
}  # fmt: skip
_FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n"
    b"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    b"bin:x:2:2:bin:/bin:/bin/false\n"
    b"sys:x:3:3:sys:/dev:/bin/false\n"
    b"mail:x:8:8:mail:/var/spool/mail:/bin/false\n"
    b"www-data:x:33:33:www-data:/var/www:/bin/false\n"
    b"nobody:x:65534:65534:nobody:/home:/bin/false\n",
    "etc/group": b"root:x:0:\ndaemon:x:1:\nbin:x:2:\nsys:x:3:\nadm:x:4:\ntty:x:5:\ndisk:x:6:\n"
    b"wheel:x:10:root\nutmp:x:43:\nmail:x:8:\nwww-data:x:33:\nusers:x:100:\nnobody:x:65534:\n",
    "etc/shadow": b"root:*:::::::\ndaemon:*:::::::\nwww-data:*:::::::\nnobody:*:::::::\n",
}


def base(store: content.ContentStore) -> Base:
    """Raises Unsupported where there is no static busybox and no way to fetch one."""
    for path in _PLACES:
        if os.path.exists(path) and _is_static(path):
            return _from(path, store)
    with tempfile.TemporaryDirectory(prefix="sampan-busybox-") as directory:
        return _from(_download(directory), store)


def _from(path: str, store: content.ContentStore) -> Base:
    listed = subprocess.run([path, "--list-full"], capture_output=True, text=True, check=True)
    epoch = int(os.stat(path).st_mtime)  # the package's own time, the same on every host
    with open(path, "rb") as file:
        program = file.read()
    with archive.new_layer(store) as layer:
        _write(tar.Writer(layer.write), program, listed.stdout.split(), epoch)
        descriptor, diff_id = layer.finish()
    made = Layer(descriptor=descriptor, diff_id=diff_id, created_by="busybox-static")
    return Base(layers=(made,), created=epoch, command=("sh",))


def _write(writer: tar.Writer, program: bytes, applets: list[str], epoch: int) -> None:
    def entry(name: str, kind: int, mode: int) -> tar.Entry:
        made = tar.Entry(name, kind, mode=mode)
        made.mtime = epoch * 10**9
        return made

    for name, mode in sorted(_DIRECTORIES.items()):
        writer.add(entry(name, tar.DIRECTORY, mode))
    writer.add(entry("bin/busybox", tar.REGULAR, 0o755), program)
    for name in sorted(set(applets) - {"bin/busybox", "usr/bin/busybox", "linuxrc"}):
        link = entry(name, tar.HARD_LINK, 0o755)
        link.link = "bin/busybox"
        writer.add(link)
    for name, data in sorted(_FILES.items()):
        mode = 0o640 if name == "etc/shadow" else 0o644
        writer.add(entry(name, tar.REGULAR, mode), data)
    writer.finish()


def _is_static(path: str) -> bool:
    """An ELF program without an interpreter (elf(5): no PT_INTERP segment)."""
    with open(path, "rb") as file:
        head = file.read(4096)
    if head[:5] != b"\x7fELF\x02":
        return False
    start, size = int.from_bytes(head[32:40], "little"), int.from_bytes(head[54:56], "little")
    count = int.from_bytes(head[56:58], "little")
    kinds = (head[start + n * size : start + n * size + 4] for n in range(count))
    return all(int.from_bytes(kind, "little") != 3 for kind in kinds)


def _download(directory: str) -> str:
    """Debian's package, unpacked here; the host's own apt knows where from."""
    try:
        for words in (
            ["apt-get", "download", "-q", "busybox-static"],
            ["sh", "-c", "exec dpkg-deb -x busybox-static_*.deb ."],
        ):
            done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                raise errors.Unsupported(
                    f"no static busybox: install the package busybox-static ({''.join(said)})"
                )
    except FileNotFoundError as error:
        raise errors.Unsupported(
            "no static busybox here: install the package busybox-static"
        ) from error
    return glob.glob(f"{directory}/**/bin/busybox", recursive=True)[0]
