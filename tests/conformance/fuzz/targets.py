"""What reads other people's bytes: each parser with what it may raise, and words to start from.

A target takes bytes. Whatever it raises beside `allowed` is a bug, as is whatever takes ten
seconds or two gigabytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

from sampan.build import changes as image_changes
from sampan.build import ignore as build_ignore
from sampan.build import instructions, parser, shell
from sampan.buildkit import messages
from sampan.buildkit import wire as buildkit_wire
from sampan.cli import template as cli_template
from sampan.cli import units as cli_units
from sampan.cli.bake.definition import Definition
from sampan.cli.bake.sources import parse as bake_source
from sampan.cli.parse import devices, gpus, mounts, networks, ports, throttle, ulimits, volumes
from sampan.client import http
from sampan.dockerapi import shapes as api_shapes
from sampan.engine import units as engine_units
from sampan.engine.filters import Filters
from sampan.image import tar as image_tar
from sampan.image.erofs import build as erofs_build
from sampan.image.lazy import plan
from sampan.image.lazy import toc as lazy_toc
from sampan.kit import errors
from sampan.registry import auth, hosts
from sampan.spec import docker_stream, oci_image
from sampan.spec import reference as spec_reference


@dataclass
class Target:
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    allowed: tuple[type[Exception], ...] = (errors.SampanError,)


def _text(run: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: run(data.decode("utf-8", "surrogateescape"))


def dockerfile(text: str) -> None:
    parsed = parser.parse(text)
    for statement in parsed.statements:
        instructions.parse(statement)
        shell.Lexer(escape=parsed.escape).expand(" ".join(statement.args), {"A": "x", "B": ""})


def ignore(text: str) -> None:
    build_ignore.Matcher(build_ignore.read(text)).ignores("a/b/c.txt")


def reference(text: str) -> None:
    parsed = spec_reference.parse(text)
    assert spec_reference.parse(str(parsed)) == parsed
    spec_reference.familiar(str(parsed))


def filters(text: str) -> None:
    found = Filters.parse(text)
    found.flag("dangling")
    found.labels({"a": "b"})


def template(text: str) -> None:
    cli_template.render(text, {"ID": "1", "List": [1, {"a": None}], "Map": {"k": "v"}, "N": 3})


def tar(data: bytes) -> None:
    for _ in image_tar.read(image_tar.Source(iter([data]))):
        pass


def erofs(data: bytes) -> None:
    with tempfile.TemporaryFile(dir="/dev/shm") as file:
        erofs_build.build(iter([data]), file.fileno())


def toc(data: bytes) -> None:
    plan.Plan(data, 1 << 20, 1 << 19).index()


def footer(data: bytes) -> None:
    lazy_toc.footer(data)


def hosts_toml(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        os.mkdir(f"{top}/r.test")
        with open(f"{top}/r.test/hosts.toml", "wb") as file:
            file.write(data)
        hosts.Config(directories=(top,)).of("r.test")


def stream(data: bytes) -> None:
    decoder = docker_stream.FrameDecoder()
    for at in range(0, len(data), 7):
        for frame in decoder.feed(data[at : at + 7]):
            assert docker_stream.encode(frame)


def http_answer(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        ours.sendall(data[: 1 << 16])
        ours.shutdown(socket.SHUT_WR)
        http.Connection(theirs).request("GET", "/", {}).read()


def bake_hcl(text: str) -> None:
    Definition([bake_source(text, ".hcl", {})], {}).plan(["default"], [])


def bake_compose(text: str) -> None:
    Definition([bake_source(text, ".yaml", {})], {}).plan(["default"], [])


def options(text: str) -> None:
    for one in (devices, gpus, mounts, networks, ports, throttle, ulimits, volumes):
        with contextlib.suppress(errors.SampanError, ValueError):
            one.parse(text)


def units(text: str) -> None:
    for read in (
        *(cli_units.parse_bytes, cli_units.parse_duration, engine_units.size, engine_units.port),
        *(engine_units.moment, engine_units.signal_number),
    ):
        with contextlib.suppress(errors.SampanError, ValueError):
            read(text)


def changes(text: str) -> None:
    image_changes.apply({}, [text])


def shapes(data: bytes) -> None:
    api_shapes.parse(data, api_shapes.CONFIG)


def wire(data: bytes) -> None:
    for shape in vars(messages).values():
        if isinstance(shape, buildkit_wire.Shape):
            with contextlib.suppress(buildkit_wire.Malformed):
                shape.decode(data)


def document(data: bytes) -> None:
    found = oci_image.decode(data, "it")
    oci_image.choose(found, oci_image.host_platform())


def challenges(text: str) -> None:
    auth.choose(auth.parse(text))


def _tar_seed() -> bytes:
    import io
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind in (("d/", tarfile.DIRTYPE), ("d/f", tarfile.REGTYPE), ("l", b"2")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "d/f" if kind == b"2" else ""
            member.size, member.mtime = (3 if kind == tarfile.REGTYPE else 0), 1.5
            member.pax_headers = {"SCHILY.xattr.user.a": "b"}
            archive.addfile(member, io.BytesIO(b"abc"))
    return made.getvalue()


_TOC = json.dumps(
    {"version": 1, "entries": [
        {"name": "a", "type": "reg", "size": 9, "offset": 1, "digest": "sha256:" + "0" * 64,
         "chunkSize": 5, "chunkDigest": "sha256:" + "0" * 64, "modtime": "2020-01-01T00:00:00Z"},
        {"name": "a", "type": "chunk", "chunkOffset": 5, "chunkSize": 4, "offset": 7,
         "chunkDigest": "sha256:" + "0" * 64},
        {"name": "d", "type": "dir"}, {"name": "l", "type": "symlink", "linkName": "a"}]}
).encode()  # fmt: skip

DEEP = b"[" * 4000 + b"]" * 4000  # more than Python's stack takes

TARGETS = {
    "dockerfile": Target(
        _text(dockerfile),
        (
            b"# syntax=a\n# escape=`\nFROM a AS b\nRUN --mount=type=cache,target=/x <<E\nhi\nE\n",
            b'FROM $A\nCMD ["a","b"]\nHEALTHCHECK --interval=1s CMD x\nCOPY --from=b a b\nENV a=b',
            b"FROM a\nENV a=" + b"${b:-" * 3000 + b"}" * 3000,
            b'FROM a\nCMD ["a", ' + DEEP + b"]",
            b"ARG A=${B:-c}\nFROM x\nONBUILD RUN y\nEXPOSE 80/tcp\nVOLUME [/a]\nLABEL a='b c'\n",
        ),
    ),
    "ignore": Target(_text(ignore), (b"*.txt\n!a/**/b\n[a-z]?\n# c\n",)),
    "reference": Target(_text(reference), (b"a.b:5000/c/d:e@sha256:" + b"0" * 64, b"busybox")),
    "filters": Target(_text(filters), (b'{"label":{"a=b":true},"dangling":["1"]}', DEEP)),
    "template": Target(
        _text(template),
        (
            b"{{range $i, $e := .List}}{{if eq $i 1}}{{$e | json}}{{else}}{{end}}{{end}}",
            b'table {{.ID}}\t{{printf "%5.2f" .N}}{{with .Map}}{{.k | upper}}{{end}}',
            b"{{" + b"(" * 3000 + b".ID" + b")" * 3000 + b"}}",
            b"{{if .ID}}" * 3000 + b"{{end}}" * 3000,
        ),
        (cli_template.TemplateError,),
    ),
    "tar": Target(tar, (_tar_seed(),)),
    "erofs": Target(erofs, (_tar_seed(),)),
    "toc": Target(toc, (_TOC, DEEP, b'{"entries":%s}' % DEEP)),
    "footer": Target(footer, (b"\x1f\x8b\x08\x04" + b"0" * 28 + b"STARGZ" + b"0" * 13,)),
    "hosts_toml": Target(
        hosts_toml,
        (b"a = " + DEEP, b'server = "https://a"\n[host."https://b/v2"]\ncapabilities=["pull"]\nca="x"\n',),
    ),
    "stream": Target(stream, (b"\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\0",)),
    "http_answer": Target(
        http_answer,
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",),
        (errors.SampanError, OSError),
    ),
    "bake_hcl": Target(
        _text(bake_hcl),
        (
            b"a = " + DEEP,
            b"a = " + b"(" * 2000 + b"1" + b")" * 2000,
            b'variable "A" { default = "x" }\ntarget "default" { args = { B = "${A}-1" } }',
        ),
    ),
    "bake_compose": Target(
        _text(bake_compose),
        (b"services:\n  a:\n    build: {context: ., args: [A=1]}\n", b"a: " + DEEP),
    ),
    "options": Target(
        _text(options),
        (
            b"type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave",
            b"127.0.0.1:80-81:90-91/udp",
            b"name=n,alias=a,ip=1.2.3.4",
            b"count=1,capabilities=gpu",
            b"nofile=1:2",
            b"/a:/b:ro,z",
        ),
    ),
    "units": Target(_text(units), (b"1.5GiB", b"1h30m", b"80/tcp", b"2020-01-01T00:00Z", b"HUP")),
    "changes": Target(_text(changes), (b'ENV a="b c"\nEXPOSE 80\nCMD ["a"]\nONBUILD RUN x\n',)),
    "shapes": Target(
        shapes, (DEEP, b'{"Image":"a","Cmd":["b"],"HostConfig":{"PortBindings":{"80/tcp":[{}]}}}',)
    ),
    "wire": Target(wire, (b"\x0a\x03abc\x10\x01\x1a\x04\x0a\x02hi",)),
    "document": Target(
        document,
        (DEEP, b'{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:0","size":1,'
         b'"platform":{"os":"linux","architecture":"amd64"}}]}',),
    ),
    "challenges": Target(_text(challenges), (b'Bearer realm="https://a",scope="b:c", Basic x=y',)),
}  # fmt: skip
