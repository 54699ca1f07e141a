"""The second layer: packages and commands over the base, and only what they changed.

They run in a chroot over an overlay of the base, in mount and pid namespaces of their own (made by
util-linux' unshare: everything in them ends with them), with no service started (policy-rc.d) and
apt's lists, caches and configuration on a tmpfs below /run, where they leave nothing in the layer.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from typing import TYPE_CHECKING

from sampan.image import archive, compress, snapshots, tar
from sampan.image.bootstrap import normal, programs
from sampan.image.bootstrap.recipe import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.image.bootstrap.debian import State
    from sampan.image.bootstrap.recipe import Recipe, Workshop

_OWN = "/run/sampan"  # inside
_KEY = "bootstrap"  # of the writable layer; the caller holds the cache's lock
_PHASE = "sampan-phase:"

# Runs as the first process of the namespaces; $1: mount options, $2: where, $3: prepared files.
_OUTSIDE = f"""
set -eu
mount -t overlay -o "$1" overlay "$2"
cd "$2"
mount -t proc proc proc
mount -t tmpfs -o mode=755,nosuid tmpfs dev
for name in null zero full random urandom; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p -m 1777 run/lock
mount -t tmpfs -o mode=1777 tmpfs tmp
cp -r "$3" ".{_OWN}"
mkdir -p ".{_OWN}/lists/partial" ".{_OWN}/cache/archives/partial" ".{_OWN}/log"
for name in resolv.conf hosts; do
  [ -L "etc/$name" ] || {{ : >>"etc/$name"; mount --bind "/etc/$name" "etc/$name"; }}
done
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
exec chroot . /bin/sh -eu {_OWN}/steps
"""

_APT = f"""
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
Dir::Etc::SourceList "{_OWN}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{_OWN}/lists";
Dir::Cache "{_OWN}/cache";
Dir::Log "{_OWN}/log";
DPkg::Options {{ "--force-unsafe-io"; "--log={_OWN}/log/dpkg.log"; }};
DPkg::Use-Pty "false";
"""


def layer(shop: Workshop, state: State, base: Layer, recipe: Recipe) -> Layer:
    """Raises BootstrapFailed with the last lines of the step that failed."""
    programs.need("unshare", "mount", "chroot")
    began = time.monotonic()
    stack = snapshots.Overlay(shop.cache)
    if not stack.has(base.diff_id):
        shop.say(f"  unpacking the base of {state.suite.name}")
        with shop.store.open(base.descriptor["digest"]) as file:
            stack.unpack(base.diff_id, None, file, base.diff_id)
    stack.remove(_KEY)
    stack.prepare(_KEY, base.diff_id)
    place = f"{shop.cache}/{_KEY}"
    try:
        _prepare(place, state, recipe)
        _run(stack.mounts(_KEY)[0].options, place, state.epoch, shop.say)
        with archive.new_layer(shop.store) as made:
            _copy(stack, base.diff_id, made, state.epoch)
            descriptor, diff_id = made.finish()
    finally:
        stack.remove(_KEY)
        _remove(place)
    shop.say(
        f"  layer of changes: {descriptor['size'] / 1e6:.1f} MB, {time.monotonic() - began:.1f} s"
    )
    steps = [f"apt-get install {' '.join(recipe.include)}"] if recipe.include else []
    created_by = "; ".join([*steps, *recipe.run])
    return Layer(descriptor=descriptor, diff_id=diff_id, created_by=created_by)


def _prepare(place: str, state: State, recipe: Recipe) -> None:
    _remove(place)
    os.makedirs(f"{place}/root")
    os.mkdir(f"{place}/own", 0o755)
    sources = "".join(source.line(state.suite.keyring) + "\n" for source in state.sources)
    files = {
        "sources.list": sources,
        "apt.conf": "\n".join([*programs.apt_options(), _APT]),
        "steps": _steps(recipe),
    }
    for name, text in files.items():
        with open(f"{place}/own/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def _steps(recipe: Recipe) -> str:
    lines = ["cd /"]
    if recipe.include:
        packages = " ".join(map(shlex.quote, recipe.include))
        lines += [
            f"echo '{_PHASE} lists of packages'",
            "apt-get update",
            f"echo {shlex.quote(f'{_PHASE} installing {packages}')}",
            f"apt-get install -- {packages}",
        ]
    for command in recipe.run:
        shown = command if len(command) <= 60 else command[:57] + "..."
        first = shown.splitlines()[0] if shown else ""
        lines += [f"echo {shlex.quote(f'{_PHASE} {first}')}", f"/bin/sh -ec {shlex.quote(command)}"]
    return "\n".join([*lines, "rm -f /usr/sbin/policy-rc.d", ""])


def _run(options: tuple[str, ...], place: str, epoch: int, say: Callable[[str], object]) -> None:
    words = [
        "unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation",
        "private", "sh", "-c", _OUTSIDE, "sh", ",".join(options), f"{place}/root", f"{place}/own",
    ]  # fmt: skip
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "APT_CONFIG": f"{_OWN}/apt.conf",
        "DEBIAN_FRONTEND": "noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN": "true",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "SOURCE_DATE_EPOCH": str(epoch),
        "TZ": "UTC",
    }
    passed = ("http_proxy", "https_proxy", "no_proxy")
    environment |= {name: os.environ[name] for name in passed if name in os.environ}
    began = time.monotonic()

    def heard(line: str) -> None:
        if line.startswith(_PHASE):
            say(f"  {time.monotonic() - began:5.1f} s  {line.removeprefix(_PHASE).strip()}")

    programs.follow("a step in the new file system", words, environment, heard)


def _copy(stack: snapshots.Overlay, below: str, made: archive.LayerWriter, epoch: int) -> None:
    """The writable layer as a tar into a file, and from there, made normal, into the store."""
    lower = stack.view(below)[0].source

    def hides(directory: str) -> bool:
        """overlayfs marks every new directory opaque; that says something only over another."""
        return os.path.isdir(f"{lower}/{directory}")

    with tempfile.TemporaryFile(dir="/var/tmp") as file:
        stack.diff(_KEY, tar.Writer(file.write))
        file.seek(0)
        normal.copy(compress.chunks(file), made.write, epoch=epoch, hides=hides)


def _remove(place: str) -> None:
    shutil.rmtree(place, ignore_errors=True)
