"""What is built at the same time: platforms of one build, steps that are alike, many builds.

Who is to run beside another waits for it, in a cache that they share: one after the other, they
would wait for ever.
"""

from __future__ import annotations

import glob
import http.server
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.dockerapi.test_build import build, made, packed
from tests.dockerapi.test_build_endings import begun, containers, left, step, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

BOTH = "platform=linux/amd64,linux/arm64"
HERE = "FROM --platform=$BUILDPLATFORM scratch\nCOPY busybox /bin/busybox\n"
UNTIL = "until /bin/busybox test {}; do /bin/busybox usleep 9000; done; "


def cache(ident: str) -> str:
    return f"--mount=type=cache,id={ident},target=/c"


def said_yes(engine: Engine, image: str, busybox: str, script: str) -> bool:
    container = engine.run(busybox, "sh", "-c", script, Image=image)
    code = engine.wait(container)
    assert engine.request("DELETE", f"/containers/{container}")[0] == 204
    return code == 0


def test_platforms_run_at_once_and_are_told_one_after_the_other(engine: Engine) -> None:
    meet = "echo > /c/$TARGETARCH; " + UNTIL.format("-e /c/amd64 -a -e /c/arm64")
    dockerfile = HERE + "ARG TARGETARCH\n" + step(meet + "echo was $TARGETARCH", cache("meet"))
    text, messages = build(engine, packed(dockerfile, {}), BOTH)
    assert made(messages)
    parts = ["Platform linux/amd64\n", "was amd64\n", "Platform linux/arm64\n", "was arm64\n"]
    assert all(text.count(part) == 1 for part in parts), text
    assert parts == sorted(parts, key=text.index), text


def test_a_platform_that_fails_ends_the_others_and_is_told(engine: Engine) -> None:
    """It is the second one, which waits for its turn to speak; the first would never end."""
    script = (
        "if [ $TARGETARCH = amd64 ]; then echo > /c/runs; exec /bin/busybox sleep 1000; fi; "
        + UNTIL.format("-e /c/runs")
        + "echo for this reason; exit 7"
    )
    before = containers(engine)
    dockerfile = HERE + "ARG TARGETARCH\n" + step(script, cache("fails"))
    text, messages = build(engine, packed(dockerfile, {}), BOTH)
    assert "non-zero code: 7" in messages[-1]["error"]
    assert "for this reason" in text.partition("Platform linux/arm64")[2]
    assert containers(engine) == before
    assert left(engine) == []


def test_a_step_that_is_the_same_for_all_is_done_once(engine: Engine) -> None:
    """By two stages and two platforms, and without the cache."""
    count = step("echo one >> /c/count; /bin/busybox cp /c/count /", cache("once"))
    stages = "".join(f"{HERE.replace('scratch', f'scratch AS {n}', 1)}{count}" for n in ("a", "b"))
    last = "FROM scratch\nCOPY --from=a /count /bin/busybox /a/\nCOPY --from=b /count /b/\n"
    text, messages = build(engine, packed(stages + last, {}), f"{BOTH}&nocache=1&t=once:1")
    assert made(messages)
    lines = "[ $(/a/busybox cat /a/count /b/count | /a/busybox wc -l) = 2 ]"
    assert said_yes(engine, "once:1", "/a/busybox", lines), text


@contextmanager
def served(asked: Callable[[], object]) -> Iterator[str]:
    """The address of a file that comes when `asked` has returned."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked()
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"file")

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/file"
        finally:
            server.shutdown()
            thread.join()


def test_what_is_linked_is_made_while_a_step_before_it_runs(engine: Engine) -> None:
    """The step runs until the file is asked for."""

    def asked() -> None:
        build(engine, packed(HERE + step("echo > /c/asked", cache("linked")), {}))

    waits = step(UNTIL.format("-e /c/asked") + "echo ran", cache("linked"))
    with served(asked) as address:
        dockerfile = (
            f"{HERE}{waits}WORKDIR /sub\nARG TO=to\nADD --link {address} $TO\n"
            "COPY --link --chown=5:6 busybox copied\nLABEL a=b\n"
        )
        text, messages = build(engine, packed(dockerfile, {}), "t=linked:1")
        image = made(messages)
        lines = [line for line in text.splitlines() if line.startswith("Step") or line == "ran"]
        assert [line.split(" : ")[-1].split()[0] for line in lines] == [
            "FROM", "COPY", "RUN", "ran", "WORKDIR", "ARG", "ADD", "COPY", "LABEL",
        ]  # fmt: skip
        look = "[ $(cat /sub/to) = file ] && [ $(/bin/busybox stat -c %u:%g /sub/copied) = 5:6 ]"
        assert said_yes(engine, "linked:1", "/bin/busybox", look)
        text, messages = build(engine, packed(dockerfile, {}))
        assert made(messages) == image
        assert text.count("Using cache") == 7


def test_a_step_that_fails_ends_what_is_made_ahead(engine: Engine) -> None:
    """Which waits for a stage that would never end."""
    never = step("echo > /c/runs; exec /bin/busybox sleep 1000", cache("ahead"))
    fails = step(UNTIL.format("-e /c/runs") + "exit 7", cache("ahead"))
    dockerfile = HERE.replace("scratch", "scratch AS other", 1) + never
    dockerfile += f"{HERE}{fails}COPY --link --from=other /bin /other\n"
    before = containers(engine)
    _, messages = build(engine, packed(dockerfile, {}))
    assert "non-zero code: 7" in messages[-1]["error"]
    assert containers(engine) == before
    assert left(engine) == []


def test_a_client_that_goes_away_leaves_no_platform_and_no_layer(engine: Engine) -> None:
    def unseen() -> list[str]:
        """Layers that nothing makes visible."""
        top = f"{engine.paths.root}/snapshots"
        found = []
        for links in glob.glob(f"{top}/*/l/by-chain"):
            place, names = os.path.dirname(links), os.listdir(links)
            seen = {os.path.basename(os.readlink(f"{links}/{name}")) for name in names}
            found += [name for name in os.listdir(place) if name not in seen | {"by-chain"}]
        return found

    before = containers(engine)
    never = step("echo begun; exec /bin/busybox sleep 1000")
    dockerfile = f"{HERE}ARG TARGETARCH\n{never}COPY --link busybox /linked\n"
    begun(engine, dockerfile, BOTH).close()
    until(lambda: containers(engine) == before)
    until(lambda: left(engine) == [])
    until(lambda: unseen() == [])


def test_more_builds_at_once_than_the_engine_has_threads_to_share(engine: Engine) -> None:
    """asyncio's usual number and one more; each waits for all."""
    number = min(32, (os.cpu_count() or 1) + 4) + 1
    meet = f"echo > /c/$N; {UNTIL.format(f'$(/bin/busybox ls /c | /bin/busybox wc -l) = {number}')}"
    context = packed(HERE + "ARG N\n" + step(meet, cache("many")), {})
    ends: dict[int, list[dict[str, object]]] = {}

    def one(mine: int) -> None:
        _, ends[mine] = build(engine, context, "buildargs=" + quote(f'{{"N":"{mine}"}}'))

    threads = [threading.Thread(target=one, args=(mine,)) for mine in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("error" not in messages[-1] for messages in ends.values()), ends
    assert len(ends) == number
