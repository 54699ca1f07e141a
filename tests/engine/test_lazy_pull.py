"""Containers over layers that are not here yet: a real engine, registry, page server, kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sampan.engine.pages.client import Pages
from sampan.image import estargz
from sampan.image.content import FileStore
from sampan.linux import unix
from sampan.registry import hosts
from tests.engine_process import PATIENCE, Engine
from tests.lazy_images import Door, Layer, noise, tar_of

FIRST = noise(5 << 19, "first")  # after busybox: the background's first request is a large one
BIG = noise(17 << 20, "big")
SMALL = {f"small/{n}": noise(3000, str(n)) for n in range(200)}

pytestmark = pytest.mark.needs("mount", "erofs", "lazy")


@pytest.fixture
def door(tmp_path):
    with Door(tmp_path) as door:
        yield door


@pytest.fixture
def engine():
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def layer():
    return Layer(tar_of({"first": FIRST, **SMALL, "big": BIG, "last": b"the end"}, busybox=True))


def pull(engine, image):
    name, _, tag = image.rpartition(":")
    status, told = engine.request("POST", f"/images/create?fromImage={name}&tag={tag}&lazy=1")
    assert status == 200 and b"errorDetail" not in told, told
    return told.decode()


class Running:
    """A container of a lazily pulled image, and its files as its processes see them."""

    def __init__(self, engine, image):
        container = engine.run("sleep", "1000", Image=image)
        self.root = f"/proc/{engine.inspect(container)['State']['Pid']}/root"

    def read(self, name):
        with open(f"{self.root}/{name}", "rb") as file:
            return file.read()


@contextlib.contextmanager
def server_ends(engine):
    """The page server is gone when the block is over."""
    with unix.connect(f"{engine.paths.run}/pages.sock") as sock:
        sock.settimeout(PATIENCE)
        unix.send(sock, {"op": "watch"})
        assert unix.receive(sock)[0] == {}
        yield sock
        with contextlib.suppress(ConnectionResetError):
            assert unix.receive(sock)[0] is None


def server_pid(engine):
    """The page server, by the socket on its command line."""
    wanted = f"{engine.paths.run}/pages.sock".encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            if wanted in file.read():
                found.append(int(name))
    (pid,) = found
    return pid


def lazy_place(engine):
    layers = f"{engine.paths.root}/snapshots/erofs/l"
    (found,) = [
        f"{layers}/{number}"
        for number in os.listdir(layers)
        if os.path.exists(f"{layers}/{number}/promise")
    ]
    return found


def test_a_container_runs_before_its_image_is_here_and_then_it_is(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    assert container.read("last") == b"the end"
    assert container.read("small/7") == SMALL["small/7"]
    assert door.sent < len(layer.blob) / 8
    with server_ends(engine):
        door.let_go()
    assert layer.digest in FileStore(engine.paths.root)
    door.refuses()
    assert container.read("big") == BIG
    place = f"{engine.paths.root}/snapshots/erofs/l"
    assert {"promise", "toc", "blob", "device"}.isdisjoint(
        name for number in os.listdir(place) for name in os.listdir(f"{place}/{number}")
    )
    assert Running(engine, image).read("last") == b"the end"
    # An ordinary image: another engine gets all of it from this one.
    status, archive = engine.request("GET", f"/images/get?names={image}")
    assert status == 200 and layer.blob in archive


def test_wrong_bytes_never_reach_a_reader(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    start, end = layer.span_of("small/190")
    door.spoiled = start, end
    with pytest.raises(OSError, match="Input/output error"):
        container.read("small/190")
    assert "a reader gets an I/O error: bytes" in engine.log()
    assert layer.digest in engine.log()
    door.spoiled = None
    assert container.read("small/190") == SMALL["small/190"]


def test_a_registry_that_is_gone_is_an_io_error_until_it_is_back(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    door.refuses()
    with pytest.raises(OSError, match="Input/output error"):
        container.read("small/190")
    assert (
        f"{door.address} cannot be reached" in engine.log() or "connection refused" in engine.log()
    )
    door.answers()
    assert container.read("small/190") == SMALL["small/190"]


def test_the_engine_may_be_killed_and_the_container_reads_on(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    engine.stop(signal.SIGKILL)
    assert container.read("last") == b"the end"
    engine.start()
    assert container.read("small/60") == SMALL["small/60"]
    assert Running(engine, image).read("small/120") == SMALL["small/120"]
    with server_ends(engine):
        door.let_go()
    assert container.read("big") == BIG


def test_a_page_server_that_is_killed_is_replaced(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    assert container.read("bin/busybox")  # what runs there; nothing of it is missed meanwhile
    place = lazy_place(engine)
    before = Path(f"{place}/device").read_text()
    with server_ends(engine):
        os.kill(server_pid(engine), signal.SIGKILL)
    # what the engine does by itself in a moment
    assert Pages(engine.paths, hosts.Config()).device(place) == before
    assert container.read("last") == b"the end"
    with server_ends(engine):
        door.let_go()
    assert container.read("big") == BIG


def test_many_readers_fetch_a_chunk_once(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    before = door.sent
    seen = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(container.read(f"small/{n}")))
        for n in range(200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(SMALL.values())
    start, end = layer.span_of("small/0")[0], layer.span_of("small/199")[1]
    assert door.sent - before < (end - start) * 1.5 + (300 << 10)


def test_the_collector_leaves_what_is_on_its_way(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    assert engine.request("POST", "/images/prune?filters={}")[0] == 200
    engine.stop(signal.SIGKILL)
    engine.start()
    assert Running(engine, image).read("last") == b"the end"


def test_a_removed_image_is_not_fetched_any_more(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    with server_ends(engine):
        assert engine.request("DELETE", f"/images/{image}")[0] == 200
        door.let_go()
    assert door.sent < len(layer.blob)


def test_what_is_no_estargz_comes_whole(engine, door, layer):
    plain = {k: v for k, v in layer.annotations.items() if k != estargz.TOC_DIGEST}
    image = door.push(layer, annotations=plain)
    assert "Pulled whole: the layer cannot be fetched piece by piece: it is no eStargz" in pull(
        engine, image
    )
    assert layer.digest in FileStore(engine.paths.root)
    assert Running(engine, image).read("last") == b"the end"


def test_a_table_that_lies_ends_the_layer(engine, door, layer):
    """Digests of tables are right, and the blob is another tar than the table says."""
    liar = layer.with_table(layer.table.replace(b'"small/5"', b'"small/x"', 1))
    image = door.push(liar)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    assert container.read("small/x") == SMALL["small/5"]
    with server_ends(engine):
        door.let_go()
    assert "can never be whole: its table of contents says otherwise about small/5" in engine.log()
    assert container.read("big") == BIG
    status, answer = engine.request("POST", "/containers/create", {"Image": image, "Cmd": ["true"]})
    engine.stop()
    engine.start()
    if status == 201:
        status, answer = engine.request("POST", f"/containers/{answer['Id']}/start")
    assert status >= 400 and "was never whole" in answer["message"]


def test_pull_lazy_on_the_command_line(engine, door, layer):
    image = door.push(layer)
    door.hold()
    program = "import sys; from sampan.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "pull", "--lazy", image],
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": "src",
            "SAMPAN_ROOT": engine.paths.root, "SAMPAN_RUN": engine.paths.run,
        },
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert image in done.stdout
    assert door.sent < len(layer.blob) / 8
