"""Containers over layers that are not here yet: a real engine, registry, page server, kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from sampan.image import estargz
from sampan.image.content import FileStore
from sampan.linux import unix
from tests.engine_process import PATIENCE, SOURCE, Engine
from tests.lazy_images import Door, Layer, noise, tar_of

FIRST = noise(5 << 19, "first")  # after busybox: the background's first request is a large one
BIG = noise(9 << 20, "big")
SMALL = {f"small/{n}": noise(3000, str(n)) for n in range(400)}

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
def held(layer, tmp_path_factory):
    """An engine, a registry and a container of an image of which nobody fetches more by himself."""
    with Door(tmp_path_factory.mktemp("held")) as door, Engine() as engine:
        image = door.push(layer)
        door.hold()
        pull(engine, image)
        yield engine, door, Running(engine, image)


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


def test_a_container_runs_before_its_image_is_here_and_then_it_is(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    assert container.read("last") == b"the end"
    assert container.read("small/7") == SMALL["small/7"]
    assert door.sent < len(layer.blob) / 6
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


def test_wrong_bytes_never_reach_a_reader(held, layer):
    engine, door, container = held
    start, end = layer.span_of("small/390")
    door.spoiled = start, end
    with pytest.raises(OSError, match="Input/output error"):
        container.read("small/390")
    assert "a reader gets an I/O error: bytes" in engine.log()
    assert layer.digest in engine.log()
    door.spoiled = None
    assert container.read("small/390") == SMALL["small/390"]


def test_a_registry_that_is_gone_is_an_io_error_until_it_is_back(held, layer):
    engine, door, container = held
    door.refuses()
    with pytest.raises(OSError, match="Input/output error"):
        container.read("small/290")
    assert (
        f"{door.address} cannot be reached" in engine.log() or "connection refused" in engine.log()
    )
    door.answers()
    assert container.read("small/290") == SMALL["small/290"]


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


def test_a_page_server_that_is_killed_is_replaced_while_readers_wait(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    door.wait_for(held=1)  # the background's
    seen = []
    reader = threading.Thread(target=lambda: seen.append(container.read("big")))
    reader.start()
    door.wait_for(held=2)
    with server_ends(engine):
        os.kill(server_pid(engine), signal.SIGKILL)
    door.let_go()
    reader.join(PATIENCE)
    assert seen == [BIG]
    assert "I/O error" not in engine.log()


def test_when_engine_and_page_server_are_killed_reading_goes_on_with_the_next(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    container = Running(engine, image)
    assert container.read("bin/busybox")  # what runs there: nothing of it is missed meanwhile
    with server_ends(engine):
        engine.stop(signal.SIGKILL)
        os.kill(server_pid(engine), signal.SIGKILL)
    with pytest.raises(OSError, match="Input/output error"):
        container.read("small/190")
    engine.start()
    assert Running(engine, image).read("last") == b"the end"
    assert container.read("small/190") == SMALL["small/190"]


def test_many_readers_fetch_a_chunk_once(held, layer):
    _, door, container = held
    before = door.sent
    seen = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(container.read(f"small/{n}")))
        for n in range(100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(SMALL[f"small/{n}"] for n in range(100))
    start, end = layer.span_of("small/0")[0], layer.span_of("small/99")[1]
    assert door.sent - before < 2 * (end - start)


def test_the_collector_leaves_what_is_on_its_way(held):
    engine, _, container = held
    assert engine.request("POST", "/images/prune?filters={}")[0] == 200
    assert container.read("small/200") == SMALL["small/200"]


def test_the_engine_answers_while_a_start_waits_for_bytes(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    door.wait_for(held=1)  # the background's
    door.largest = 0
    container = engine.create("true", Image=image)
    starting = threading.Thread(
        target=engine.request, args=("POST", f"/containers/{container}/start")
    )
    starting.start()
    door.wait_for(held=2)
    assert engine.request("GET", "/_ping")[0] == 200
    assert not engine.inspect(container)["State"]["Running"]
    door.let_go()
    starting.join(PATIENCE)
    assert engine.wait(container) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/images/get?names={}"),
        ("POST", "/images/{}/push"),
        ("GET", "/sampan/images/{}/tree"),
        ("POST", "/sampan/images/{}/convert?to=other&compression=zstd"),
    ],
)
def test_who_needs_the_blobs_is_told_to_wait(held, layer, method, path):
    engine, door, _ = held
    anonymous = {"X-Registry-Auth": "e30="}
    _, answer = engine.request(method, path.format(f"{door.address}/x:1"), headers=anonymous)
    assert f"layer {layer.digest} is still being fetched" in str(answer)


def test_a_pull_of_the_whole_image_ends_the_lazy_one(engine, door, layer):
    image = door.push(layer)
    door.hold()
    pull(engine, image)
    name, _, tag = image.rpartition(":")
    with server_ends(engine):
        whole = threading.Thread(
            target=engine.request, args=("POST", f"/images/create?fromImage={name}&tag={tag}")
        )
        whole.start()
        whole.join()  # the request for all of it is not held: it names no end
        door.refuses()  # nothing more is needed from there
    assert Running(engine, image).read("big") == BIG


def test_what_is_no_estargz_comes_whole(held, door):
    engine, _, _ = held
    layer = Layer(tar_of({"first": FIRST}))
    plain = {k: v for k, v in layer.annotations.items() if k != estargz.TOC_DIGEST}
    told = pull(engine, door.push(layer, annotations=plain))
    assert "Pulled whole: the layer cannot be fetched piece by piece: it is no eStargz" in told
    assert layer.digest in FileStore(engine.paths.root)


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


def test_pull_and_rmi_on_the_command_line(engine, door, layer):
    image = door.push(layer)
    door.hold()

    def sampan(*words):
        program = "import sys; from sampan.cli.main import main; sys.exit(main())"
        environment = {"SAMPAN_ROOT": engine.paths.root, "SAMPAN_RUN": engine.paths.run}
        return subprocess.run(
            [sys.executable, "-c", program, *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": SOURCE, **environment},
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    done = sampan("pull", "--lazy", image)
    assert done.returncode == 0, done.stderr
    assert image in done.stdout
    assert door.sent < len(layer.blob) / 6
    with server_ends(engine):  # nothing is fetched any more when the image is removed
        assert sampan("rmi", image).returncode == 0
        door.let_go()
    assert door.sent < len(layer.blob)
