"""What a frontend can be asked instead of a build: lint, outline, targets, and which of them.

The answer is metadata, which the client prints (`docker build --check`, `--call=outline`).
Source: moby/buildkit frontend/subrequests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from sampan.build import checks, outline
from sampan.buildkit.source import encoded64, location, source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sampan.buildkit.result import Result

    Answer = dict[str, bytes]

_KNOWN = "moby.buildkit.frontend."
_CAPS = ("inputs", "subrequests", "contexts", "gitquerystring")
_DETAIL = "github.com/moby/buildkit/errdefs."


def check(attributes: Mapping[str, str]) -> None:
    """Raises what a client understands as: this frontend cannot do that."""
    for name in filter(None, attributes.get("frontend.caps", "").split(",")):
        capability = name.removesuffix("+forward")
        if capability.removeprefix(_KNOWN) not in _CAPS:
            raise _refused("unsupported frontend capability", "FrontendCap", capability)
    asked = attributes.get("requestid")
    if asked is not None and asked not in _ANSWERS:
        raise _refused("unsupported request", "Subrequest", asked)


def _refused(text: str, kind: str, name: str) -> GRPCError:
    about = (f"{_DETAIL}{kind}+json", json.dumps({"name": name}).encode())
    return GRPCError(Status.UNIMPLEMENTED, f"{text} {name}", [about])


def answer(name: str, result: Result) -> Answer:
    """To one that `check` has let in."""
    return _ANSWERS[name](result)


def describe() -> Answer:
    """What can be asked; it needs no Dockerfile."""
    document = [
        {
            "name": name,
            "version": "1.0.0",
            "type": "rpc",
            "description": text,
            "opts": None,
            "metadata": [{"name": "result.json"}, {"name": "result.txt"}],
        }
        for name, text in _DESCRIBED.items()
    ]
    rows = [[one.removeprefix("frontend."), "1.0.0", text] for one, text in _DESCRIBED.items()]
    return _answer(document, _table(["NAME", "VERSION", "DESCRIPTION"], rows))


def _lint(result: Result) -> Answer:
    request = result.request()
    found = checks.look(
        request.dockerfile,
        checks.Inputs(
            platform=request.platform,
            args=request.args,
            target=request.target,
            ignored=request.ignored,
            alone=True,
        ),
    )
    warnings: list[dict[str, Any]] = [
        {
            "ruleName": one.rule,
            "description": one.reason,
            "url": one.url,
            "detail": one.message,
            "location": location(one.line, one.end),
        }
        for one in found
    ]
    filename = result.asked.filename
    document = {"warnings": warnings, "sources": [source(filename, result.text)]}
    shown = checks.full(found, result.text, filename)
    return _answer(document, shown) | {"result.statuscode": b"1" if found else b"0"}


def _outline(result: Result) -> Answer:
    request = result.request()
    found = outline.outline(request.dockerfile, request.target, request.args, request.platform)
    args = [
        {"name": one.name, "value": one.value, "description": one.description, **_place(one)}
        for one in found.args
    ]
    document: dict[str, Any] = {
        "name": found.name,
        "description": found.description,
        "args": args,
        "secrets": _required(found.secrets),
        "ssh": _required(found.agents),
        "sources": [encoded64(result.text)],
    }
    pieces = []
    if found.name or found.description:
        head = [["TARGET:", found.name or "(default)"]]
        head += [["DESCRIPTION:", found.description]] if found.description else []
        pieces.append(_table([], head, gap=1))
    if found.args:
        rows = [[one.name, one.value, one.description] for one in found.args]
        pieces.append(_table(["BUILD ARG", "VALUE", "DESCRIPTION"], rows))
    for title, many in (("SECRET", found.secrets), ("SSH", found.agents)):
        if many:
            rows = [[one.name, "true" if one.required else ""] for one in many]
            pieces.append(_table([title, "REQUIRED"], rows))
    return _answer(document, "".join(f"{piece}\n" for piece in pieces))


def _required(found: Iterable[outline.Parameter]) -> list[dict[str, Any]]:
    return [{"name": one.name, "required": one.required, **_place(one)} for one in found]


def _place(one: outline.Parameter) -> dict[str, Any]:
    return {"location": location(one.line, one.end)}


def _targets(result: Result) -> Answer:
    found = outline.targets(result.request().dockerfile)
    listed = [
        {
            "name": one.name,
            "default": one.default,
            "description": one.description,
            "base": one.base,
            "platform": one.platform,
            "location": location(one.line, one.line),
        }
        for one in found
    ]
    document = {"targets": listed, "sources": [encoded64(result.text)]}
    rows = [
        [f"{one.name} {'(default)' if one.default else ''}".strip(), one.description]
        for one in found
    ]
    return _answer(document, _table(["TARGET", "DESCRIPTION"], rows, gap=1))


def _answer(document: Any, shown: str) -> Answer:
    return {
        "result.json": json.dumps(document).encode(),
        "result.txt": shown.encode("utf-8", "surrogateescape"),
        "version": b"1.0.0",
    }


def _table(head: list[str], rows: list[list[str]], gap: int = 3) -> str:
    lines = [head, *rows] if head else rows
    widths = [max(map(len, column)) + gap for column in zip(*lines, strict=True)]
    shown = (
        "".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return "".join(f"{line}\n" for line in shown)


_DESCRIBED = {
    "frontend.outline": "arguments, secrets and agents of a target",
    "frontend.targets": "the targets of the Dockerfile",
    "frontend.lint": "build checks",
    "frontend.subrequests.describe": "what can be asked",
}
_ANSWERS: dict[str, Callable[[Result], Answer]] = {
    "frontend.outline": _outline,
    "frontend.targets": _targets,
    "frontend.lint": _lint,
    "frontend.subrequests.describe": lambda _: describe(),
}
