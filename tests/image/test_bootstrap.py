"""Images made from a distribution's packages."""

import io
import json
import os
import subprocess

import pytest

from sampan.image import archive, compress, content, tar, unpack
from sampan.image.bootstrap import BootstrapFailed, Recipe, build, normal, suites
from sampan.kit import errors


def made(recipe: Recipe, directory) -> tuple[content.FileStore, archive.Loaded, dict, list[dict]]:
    """Build, then load what came out: store, image, config, layer descriptors."""
    out = io.BytesIO()
    result = build(recipe, out)
    store = content.FileStore(str(directory))
    (image,) = archive.load(store, iter([out.getvalue()]))
    assert image.manifest == result.digest
    manifest = json.loads(content.read(store, image.manifest))
    assert manifest["config"]["digest"] == result.image_id
    config = json.loads(content.read(store, result.image_id))
    return store, image, config, manifest["layers"]


def entries(store: content.FileStore, layer: dict) -> dict[str, tar.Entry]:
    with store.open(layer["digest"]) as file:
        source = tar.Source(compress.decompress(compress.chunks(file)))
        found = list(tar.read(source))
    assert len({entry.name for entry in found}) == len(found), "a path twice in one layer"
    return {entry.name.rstrip("/"): entry for entry in found}


def text(store: content.FileStore, layer: dict, name: str) -> str:
    with store.open(layer["digest"]) as file:
        source = tar.Source(compress.decompress(compress.chunks(file)))
        for entry in tar.read(source):
            if entry.name == name:
                return source.take(entry.size).decode()
    raise KeyError(name)


def test_busybox_twice_is_the_same() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    assert build(Recipe(source="busybox"), first) == build(Recipe(source="busybox"), second)
    assert first.getvalue() == second.getvalue()


@pytest.mark.needs("mount")
def test_busybox_runs(tmp_path) -> None:
    recipe = Recipe(source="busybox", tags=("busybox", "registry.test/tiny:1"))
    store, image, config, layers = made(recipe, tmp_path / "store")
    assert image.names == ("docker.io/library/busybox:latest", "registry.test/tiny:1")
    assert config["config"]["Cmd"] == ["sh"]
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    fd = os.open(root, os.O_RDONLY)
    with store.open(layers[0]["digest"]) as file:
        stream = compress.decompress(compress.chunks(file))
        unpack.unpack(stream, fd, expected=config["rootfs"]["diff_ids"][0])
    os.close(fd)
    said = subprocess.run(
        ["/usr/sbin/chroot", root, "/bin/sh", "-c", "id -un; stat -c %a /tmp; wc -l < /etc/passwd"],
        capture_output=True, text=True, check=True, env={"PATH": "/bin:/usr/bin"},
    )  # fmt: skip
    assert said.stdout.split() == ["root", "1777", "7"]


def test_the_config_is_changed_as_asked(tmp_path) -> None:
    recipe = Recipe(
        source="busybox",
        config={
            "Cmd": ["httpd", "-f"],
            "Env": ["PATH=/bin", "A=b"],
            "ExposedPorts": {"80": {}, "53/udp": {}},
            "Labels": {"k": "v"},
            "StopSignal": "QUIT",
        },
    )
    config = made(recipe, tmp_path)[2]
    assert config["config"] == {
        "Cmd": ["httpd", "-f"],
        "Env": ["PATH=/bin", "A=b"],
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Labels": {"k": "v"},
        "StopSignal": "QUIT",
    }
    shown = [item["created_by"] for item in config["history"] if item.get("empty_layer")]
    assert 'CMD ["httpd", "-f"]' in shown
    assert len([item for item in config["history"] if not item.get("empty_layer")]) == 1


def test_an_entrypoint_takes_the_default_command_away(tmp_path) -> None:
    recipe = Recipe(source="busybox", config={"Entrypoint": ["/bin/sh", "-c"]})
    assert "Cmd" not in made(recipe, tmp_path)[2]["config"]


@pytest.mark.parametrize("source", ["plan9", "debian:7.0", "debian:../x", "ubuntu:4"])
def test_unknown_sources_are_refused(source: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=source.partition(":")[0]):
        build(Recipe(source=source, cache="/nonexistent"), io.BytesIO())


def test_suites_are_found_by_number_and_name() -> None:
    assert suites.suite("debian:12") == suites.suite("debian:bookworm")
    assert suites.suite("debian:13").name == suites.suite("debian").name == "trixie"
    assert suites.suite("ubuntu:24.04").name == "noble"


def test_the_hosts_mirror_is_used_and_never_shown(tmp_path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://old.test/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x] http://mirror.test/debian/ bookworm main\n"
        "deb file:/srv/debian bookworm-updates main\n"
    )
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "security.sources").write_text(
        "Types: deb deb-src\nURIs: https://sec.test/d\nSuites: bookworm-security x\n"
        "Components: main\n\nEnabled: no\nTypes: deb\nURIs: http://off.test\nSuites: bookworm\n"
    )
    suite = suites.suite("debian:12")
    found = {s.suite: s.uri for s in suites.fetched_from(suite, directory=str(tmp_path))}
    assert found == {
        "bookworm": "http://mirror.test/debian",
        "bookworm-updates": "http://deb.debian.org/debian",
        "bookworm-security": "https://sec.test/d",
    }
    own = {s.suite: s.uri for s in suites.fetched_from(suite, "http://mine.test/d/", str(tmp_path))}
    assert own["bookworm"] == own["bookworm-updates"] == "http://mine.test/d"
    path, inside = suite.file()
    assert path == "etc/apt/sources.list.d/debian.sources"
    assert b"test" not in inside
    assert b"http://deb.debian.org/debian-security" in inside


def test_what_is_only_of_this_run_is_left_out() -> None:
    plain = io.BytesIO()
    writer = tar.Writer(plain.write)
    writer.add(tar.Entry("./", tar.DIRECTORY))
    for name in (
        "./etc/hostname", "./etc/os-release", "./etc/passwd-", "./run/lock", "./run/x",
        "./usr/lib/a.pyc", "./usr/lib/__pycache__", "./usr/lib/b.py", "./var/lib/dpkg/status-old",
        "./var/log/dpkg.log", "./usr/sbin/.wh.policy-rc.d", "./srv/.wh.gone",
        "./new/.wh..wh..opq", "./old/.wh..wh..opq", "./etc/apt/sources.list.d/debian.sources",
    ):  # fmt: skip
        entry = tar.Entry(name)
        entry.mtime = 50 * 10**9 + 1
        writer.add(entry, b"data")
    writer.finish()
    out = io.BytesIO()
    normal.copy(
        iter([plain.getvalue()]), out.write, epoch=40,
        files={"etc/apt/sources.list.d/debian.sources": b"own"}, hides=lambda name: name == "old",
    )  # fmt: skip
    found = list(tar.read(tar.Source(iter([out.getvalue()]))))
    assert [entry.name for entry in found] == [
        "etc/os-release", "run/lock", "usr/lib/b.py", "srv/.wh.gone", "old/.wh..wh..opq",
        "etc/apt/sources.list.d/debian.sources",
    ]  # fmt: skip
    assert {entry.mtime for entry in found} == {40 * 10**9}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.needs("mount")
def test_debian_is_the_same_twice(tmp_path) -> None:
    """Two bootstraps that share nothing; then a plain one that shares the base layer."""
    recipe = Recipe(
        source="debian:12",
        include=("tini",),
        run=("echo made > /srv/made; rm /etc/issue; ! pgrep x", "useradd --system worker"),
        tags=("made:1",),
        cache=str(tmp_path / "one"),
    )
    said: list[str] = []
    first = build(recipe, io.BytesIO(), said.append)
    assert any("installing tini" in line for line in said)
    with open("/proc/self/mounts") as mounts:
        assert str(tmp_path) not in mounts.read(), "a mount is left on the host"
    store, _, config, (base, change) = made(
        recipe.replace(cache=str(tmp_path / "two")), tmp_path / "store"
    )
    again = build(recipe, io.BytesIO())
    assert again == first
    assert archive_of(store, config) == first.image_id, "the second bootstrap differs"

    below, above = entries(store, base), entries(store, change)
    assert {"bin", "usr/bin/apt-get", "etc/os-release", "etc/machine-id"} <= set(below)
    assert below["etc/machine-id"].size == 0
    assert not {"etc/hostname", "etc/resolv.conf", "etc/apt/sources.list", "dev/null"} & set(below)
    assert "deb.debian.org/debian-security" in text(
        store, base, "etc/apt/sources.list.d/debian.sources"
    )
    assert {"usr/bin/tini", "srv/made", "etc/.wh.issue", "etc/passwd"} <= set(above)
    assert not [name for name in above if normal.dropped(name) or name.endswith(".wh..wh..opq")]
    assert len(above) < 100

    plain = Recipe(source="debian:bookworm", cache=str(tmp_path / "two"))
    assert made(plain, tmp_path / "store")[3] == [base]

    with pytest.raises(BootstrapFailed, match="Unable to locate package no-such-package"):
        build(recipe.replace(include=("no-such-package",)), io.BytesIO())
    with pytest.raises(BootstrapFailed, match="over here"):
        build(recipe.replace(include=(), run=("echo over here >&2; exit 3",)), io.BytesIO())


def archive_of(store: content.FileStore, config: dict) -> str:
    from sampan.spec import oci_image

    return oci_image.digest_of(oci_image.encode(config))
