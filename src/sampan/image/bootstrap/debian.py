"""Debian and Ubuntu: the base layer by mmdebstrap (else debootstrap), and the cache of layers."""

from __future__ import annotations

import calendar
import fcntl
import glob
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from email.utils import parsedate_tz
from typing import TYPE_CHECKING, Any

from sampan.image import archive, compress, snapshots, tar
from sampan.image.bootstrap import changes, normal, programs, suites
from sampan.image.bootstrap.errors import BootstrapFailed
from sampan.image.bootstrap.recipe import Base, Layer, Recipe, Workshop
from sampan.kit import atomic, errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Say = Callable[[str], object]

DISTRIBUTIONS = ("debian", "ubuntu")
_KEPT = 12  # layers in the cache
_FORM = "1"  # of the layers; a new one makes the cache's entries void


class State(Record):
    """What the archive offers at this moment."""

    suite: suites.Suite
    sources: tuple[suites.Source, ...]  # where from, those that answer
    key: str  # hex; the same for the same Release files
    epoch: int  # the newest Release file's Date, seconds since 1970


def base(shop: Workshop, recipe: Recipe) -> Base:
    """The layers of a recipe, from the cache where the archive has not changed."""
    with _alone(shop.cache):
        state = archive_state(recipe, shop.say)
        first = kept(shop, f"base-{state.key}", lambda: _bootstrap(shop, state))
        layers = [first]
        if recipe.include or recipe.run:
            wanted = json.dumps([state.key, recipe.include, recipe.run]).encode()
            name = f"change-{hashlib.sha256(wanted).hexdigest()[:32]}"
            layers.append(kept(shop, name, lambda: changes.layer(shop, state, first, recipe)))
        _prune(shop)
    return Base(layers=tuple(layers), created=state.epoch)


def kept(shop: Workshop, name: str, make: Callable[[], Layer]) -> Layer:
    """A layer of the cache, or made now and put there."""
    path = f"{shop.cache}/{name}.json"
    try:
        with open(path, "rb") as file:
            layer = Layer(**json.load(file))
        if layer.descriptor["digest"] in shop.store:
            os.utime(path)
            return layer
    except (FileNotFoundError, ValueError, TypeError):
        pass
    layer = make()
    atomic.write(path, json.dumps(vars(layer)).encode())
    return layer


def _prune(shop: Workshop) -> None:
    """Keep the layers that were used last, and nothing that belongs to none of them."""
    paths = sorted(glob.glob(f"{shop.cache}/*.json"), key=os.path.getmtime)
    for path in paths[:-_KEPT]:
        os.unlink(path)
    layers = []
    for path in paths[-_KEPT:]:
        with open(path, "rb") as file:
            layers.append(json.load(file))
    digests = {layer["descriptor"]["digest"] for layer in layers}
    for digest in list(shop.store.walk()):
        if digest not in digests:
            shop.store.delete(digest)
    stack = snapshots.Overlay(shop.cache)
    for chain_id in set(stack.layers()) - {layer["diff_id"] for layer in layers}:
        stack.remove_layer(chain_id)


@contextmanager
def _alone(cache: str) -> Iterator[None]:
    """One bootstrap at a time in one cache: the second finds what the first made."""
    os.makedirs(cache, exist_ok=True)
    with open(f"{cache}/lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def archive_state(recipe: Recipe, say: Say) -> State:
    """Read the Release files, which name everything else by digest."""
    suite = suites.suite(recipe.source)
    _need_keyring(suite)
    found, digests, epoch = [], [], 0
    for source in suites.fetched_from(suite, recipe.mirror):
        try:
            release = _release(source)
        except BootstrapFailed as error:
            if source.required:
                raise
            say(f"{source.suite} is left out: {error.lines[-1] if error.lines else error}")
            continue
        found.append(source)
        digests.append(hashlib.sha256(release).hexdigest())
        epoch = max(epoch, _date(release))
    told = json.dumps([_FORM, suite.name, _architecture(), digests]).encode()
    return State(
        suite=suite,
        sources=tuple(found),
        key=hashlib.sha256(told).hexdigest()[:32],
        epoch=epoch,
    )


def _need_keyring(suite: suites.Suite) -> None:
    if not os.path.exists(suite.keyring):
        package = "ubuntu-keyring" if suite.distribution == "ubuntu" else "debian-archive-keyring"
        raise errors.Unsupported(
            f"{suite.keyring} is missing, so that nobody can tell {suite.distribution}'s packages "
            f"from others (apt-get install {package})"
        )


def _release(source: suites.Source) -> bytes:
    """InRelease, through the host's apt: its proxies and methods are what works here."""
    helper = "/usr/lib/apt/apt-helper"
    if not os.path.exists(helper):
        raise errors.Unsupported("bootstrap needs apt on this host")
    with tempfile.TemporaryDirectory(prefix="sampan-bootstrap-") as directory:
        path = f"{directory}/InRelease"
        url = f"{source.uri}/dists/{source.suite}/InRelease"
        programs.output(helper, "download-file", "-oAPT::Sandbox::User=root", url, path)
        with open(path, "rb") as file:
            return file.read()


def _date(release: bytes) -> int:
    for line in release.decode(errors="replace").splitlines():
        if line.startswith("Date:"):
            fields = parsedate_tz(line[5:].strip().replace("UTC", "+0000"))
            if fields is not None:
                return calendar.timegm(fields[:6]) - (fields[9] or 0)
    raise BootstrapFailed("reading the Release file", ["it has no Date"])


def _architecture() -> str:
    if shutil.which("dpkg") is None:
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    return programs.output("dpkg", "--print-architecture").strip()


def _bootstrap(shop: Workshop, state: State) -> Layer:
    began = time.monotonic()
    files = dict([state.suite.file()]) | {"etc/machine-id": b""}
    with archive.new_layer(shop.store) as layer:
        if shutil.which("mmdebstrap"):
            _mmdebstrap(state, files, layer.write, shop.say)
        else:
            _debootstrap(state, files, layer.write, shop.say)
        descriptor, diff_id = layer.finish()
    shop.say(f"  base of {state.suite.name}: {descriptor['size'] >> 20} MB, "
        f"{time.monotonic() - began:.1f} s")  # fmt: skip
    return Layer(
        descriptor=descriptor, diff_id=diff_id, created_by=f"{state.suite.distribution}"
        f" {state.suite.name} {_architecture()} @{state.epoch}",
    )  # fmt: skip


def _mmdebstrap(state: State, files: dict[str, bytes], write: Any, say: Say) -> None:
    words = ["mmdebstrap", "--variant=minbase", "--format=tar", "--mode=root"]
    words += [f"--aptopt={option}" for option in programs.apt_options()]
    words += [state.suite.name, "-"]
    words += [source.line(state.suite.keyring) for source in state.sources]
    say(f"{state.suite.distribution} {state.suite.name}: packages of the base system")
    with subprocess.Popen(
        words,
        env=_environment(state.epoch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        last: list[str] = []
        listener = threading.Thread(target=_listen, args=(process.stderr, last, say))
        listener.start()
        problem: errors.SampanError | None = None
        try:
            normal.copy(compress.chunks(process.stdout), write, epoch=state.epoch, files=files)
        except tar.TarError as error:
            problem = error
            process.stdout.close()  # it ends by SIGPIPE, if it has not
        except BaseException:
            process.stdout.close()
            process.terminate()
            raise
        finally:
            listener.join()
    if process.returncode or problem:
        raise BootstrapFailed("mmdebstrap", last[-12:]) from problem


def _listen(stream: Any, last: list[str], say: Say) -> None:
    began = time.monotonic()
    for raw in stream:
        line = raw.decode(errors="replace").strip()
        if not line:
            continue
        last.append(line)
        word = line.removeprefix("I: ")
        if line.startswith("I: ") and word.startswith(("running", "downloading", "extracting",
                                                       "installing", "creating")):  # fmt: skip
            say(f"  {time.monotonic() - began:5.1f} s  {word.rstrip('.')}")


def _debootstrap(state: State, files: dict[str, bytes], write: Any, say: Say) -> None:
    programs.need("debootstrap")
    source = state.sources[0]
    with tempfile.TemporaryDirectory(prefix="sampan-bootstrap-", dir="/var/tmp") as directory:
        say(f"{state.suite.distribution} {state.suite.name}: debootstrap")
        keyring = f"--keyring={state.suite.keyring}"
        programs.follow(
            "debootstrap",
            ["debootstrap", "--variant=minbase", keyring, source.suite, directory, source.uri],
            _environment(state.epoch),
            lambda line: None,
        )
        with tempfile.TemporaryFile(dir="/var/tmp") as file:
            writer = tar.Writer(file.write)
            tar.write_tree(writer, directory)
            writer.finish()
            file.seek(0)
            normal.copy(compress.chunks(file), write, epoch=state.epoch, files=files)


def _environment(epoch: int) -> dict[str, str]:
    passed = ("PATH", "TMPDIR", "http_proxy", "https_proxy", "no_proxy")
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(epoch), "TZ": "UTC"}
