"""An OpenAPI document of the API that our engine has, read off its routes, handlers and shapes.

What a handler asks of its `call` (query, flag, number, document, filters, body) is what it takes.
It is made for fuzzing, so it says nothing of answers.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from sampan.dockerapi import routes, shapes

_ASKED = re.compile(r"""call\.(query|flag|number|document)\(\s*["']([\w-]+)["']""")
_BODY = re.compile(r"call\.body\(\s*shapes\.(\w+)")
# Streams that do not end, what needs a registry that is there, and swarm, which is always a 503.
_LEFT_OUT = re.compile(
    r"/(events|attach|ws|wait|logs|stats|start|session|grpc)$"
    r"|^/(sampan|build|auth|images/search|distribution|swarm|services|nodes|tasks|secrets|configs)"
)
_KINDS: dict[Any, dict[str, Any]] = {
    shapes.TEXT: {"type": "string"},
    shapes.WHOLE: {"type": "integer", "format": "int64"},
    shapes.FLAG: {"type": "boolean"},
    shapes.WORDS: {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    shapes.ANY: {},
}
_TYPES = {"query": "string", "document": "string", "flag": "boolean", "number": "integer"}


def document(containers: list[str]) -> dict[str, Any]:
    """`containers`: names that an id in a path may be."""
    paths: dict[str, Any] = {}
    for key, entries in routes.all_routes()._table.items():
        method = key.partition(" ")[0].lower()
        for pattern, handler in entries:
            path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", pattern.pattern)
            if not _LEFT_OUT.search(path):
                found = _operation(inspect.getsource(handler), path, containers)
                paths.setdefault(path, {}).setdefault(method, found)
    info = {"title": "Sampan's engine", "version": "1.51"}
    return {"openapi": "3.0.3", "info": info, "paths": paths}


def _operation(source: str, path: str, containers: list[str]) -> dict[str, Any]:
    parameters = []
    for name in re.findall(r"\{(\w+)\}", path):
        schema: dict[str, Any] = {"type": "string", "minLength": 1}
        if path.startswith("/containers/"):
            schema = {"type": "string", "enum": containers}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    for kind, name in dict.fromkeys(_ASKED.findall(source)):
        parameters.append({"name": name, "in": "query", "schema": {"type": _TYPES[kind]}})
    if "call.filters()" in source:
        parameters.append({"name": "filters", "in": "query", "schema": {"type": "string"}})
    made: dict[str, Any] = {"parameters": parameters, "responses": {"default": {"description": ""}}}
    if body := _BODY.search(source):
        content = {"application/json": {"schema": _schema(getattr(shapes, body[1]))}}
        made["requestBody"] = {"content": content}
    return made


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0]), "nullable": True}
    if isinstance(shape, shapes.Each):
        return {"type": "object", "additionalProperties": _schema(shape.shape), "nullable": True}
    if isinstance(shape, dict):
        properties = {name: _schema(part) for name, part in shape.items()}
        return {"type": "object", "properties": properties, "nullable": True}
    return {**_KINDS[shape], **({"nullable": True} if _KINDS[shape] else {})}
