"""SLSA provenance: what a build was asked for and what it was made from, as BuildKit tells it.

    wanted = parse("mode=min")                      `--provenance`, or None where it is refused
    predicate(wanted, facts, builder="linux/amd64") for image.attestation

Left out is what would make two equal builds differ: when it began and ended, and its number (all
three are optional in SLSA). `max` adds the values of arguments and labels, the names of secrets and
agents, and the Dockerfile; steps as LLB are not told, for there is none.
Source: slsa.dev/spec/v1.1/provenance, moby/buildkit docs/attestations/slsa-definitions.md.
"""

from __future__ import annotations

import base64

from sampan.image import attestation
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TYPE_1 = "https://slsa.dev/provenance/v1"
_TYPE_02 = "https://slsa.dev/provenance/v0.2"
_BUILD_1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_BUILD_02 = "https://mobyproject.org/buildkit@v1"
_PRIVATE = ("build-arg:", "label:")  # their values are told by mode=max alone


class Wanted(Record):
    every: bool = True  # mode=max
    version: str = "v1"  # or v0.2
    builder_id: str = ""
    filename: str = "provenance.json"
    reproducible: bool = False
    inline_only: bool = False  # with images alone, never as a file


DEFAULT = Wanted(every=False, inline_only=True)  # as docker buildx asks, where nobody does


class Material(Record):
    uri: str
    digest: str  # sha256:… or sha1:…


class Facts(Record):
    args: Mapping[str, str] = {}  # as the frontend has them: build-arg:NAME, target, …
    dockerfile: str = "Dockerfile"
    text: str = ""  # the Dockerfile's
    remote: str = ""  # the context's address
    locals: tuple[str, ...] = ()  # names of the client's directories
    secrets: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    materials: tuple[Material, ...] = ()
    networked: bool = False  # a step could reach the network


def parse(text: str) -> Wanted | None:
    """`true`, `false`, or KEY=VALUE,…; None: none is wanted. Raises InvalidArgument."""
    fields: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals and key in ("true", "false"):
            key, value = "disabled", "false" if key == "true" else "true"
        fields[key] = value
    unknown = set(fields) - {"mode", "version", "builder-id", "filename", "reproducible",
                             "inline-only", "disabled", "type"}  # fmt: skip
    if unknown:
        raise errors.InvalidArgument(f"--provenance {text}: unexpected key '{min(unknown)}'")
    if _truth(text, fields, "disabled"):
        return None
    mode, version = fields.get("mode") or "max", fields.get("version") or "v1"
    if mode not in ("min", "max"):
        raise errors.InvalidArgument(f"--provenance {text}: mode={mode}: min or max is wanted")
    if version not in ("v1", "v0.2"):
        raise errors.InvalidArgument(f"--provenance {text}: version={version}: v1 or v0.2")
    return Wanted(
        every=mode == "max",
        version=version,
        builder_id=fields.get("builder-id", ""),
        filename=fields.get("filename") or "provenance.json",
        reproducible=_truth(text, fields, "reproducible"),
        inline_only=_truth(text, fields, "inline-only"),
    )


def _truth(text: str, fields: Mapping[str, str], name: str) -> bool:
    value = fields.get(name, "").lower()
    if value not in ("", "1", "t", "true", "0", "f", "false"):
        raise errors.InvalidArgument(f"--provenance {text}: {name}: true or false is wanted")
    return value in ("1", "t", "true")


def attests(values: Mapping[str, str]) -> Wanted | None:
    """`--attest` by its types: provenance, or a sentence about what there is not."""
    for kind, text in values.items():
        if kind == "sbom":
            if not _truth(text, dict(p.partition("=")[::2] for p in text.split(",")), "disabled"):
                raise errors.Unsupported("attestations of type sbom are not supported yet")
        elif kind != "provenance":
            raise errors.InvalidArgument(f"unknown attestation type {kind!r}")
    return parse(values["provenance"]) if "provenance" in values else None


def predicate(wanted: Wanted, facts: Facts, *, builder: str) -> attestation.Predicate:
    if wanted.version == "v0.2":
        content, kind = _v02(wanted, facts, builder), _TYPE_02
    else:
        content, kind = _v1(wanted, facts, builder), _TYPE_1
    return attestation.Predicate(type=kind, content=content, filename=wanted.filename)


def _v1(wanted: Wanted, facts: Facts, builder: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "buildkit_metadata": _metadata(wanted, facts),
        "buildkit_completeness": {
            "request": _whole(wanted, facts),
            "resolvedDependencies": not facts.locals,
        },
    }
    if _hermetic(facts):
        metadata["buildkit_hermetic"] = True
    if wanted.reproducible:
        metadata["buildkit_reproducible"] = True
    return {
        "buildDefinition": {
            "buildType": _BUILD_1,
            "externalParameters": {
                "configSource": _source(facts, "path"),
                "request": _request(wanted, facts),
            },
            "internalParameters": {"builderPlatform": builder},
            "resolvedDependencies": _materials(facts),
        },
        "runDetails": {"builder": {"id": wanted.builder_id}, "metadata": metadata},
    }


def _v02(wanted: Wanted, facts: Facts, builder: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "completeness": {
            "parameters": _whole(wanted, facts),
            "environment": True,
            "materials": not facts.locals,
        },
        "reproducible": wanted.reproducible,
        f"{_BUILD_02}#metadata": _metadata(wanted, facts),
    }
    if _hermetic(facts):
        metadata[f"{_BUILD_02}#hermetic"] = True
    return {
        "builder": {"id": wanted.builder_id},
        "buildType": _BUILD_02,
        "materials": _materials(facts),
        "invocation": {
            "configSource": _source(facts, "entryPoint"),
            "parameters": _request(wanted, facts),
            "environment": {"platform": builder},
        },
        "metadata": metadata,
    }


def _request(wanted: Wanted, facts: Facts) -> dict[str, Any]:
    told = {name: value for name, value in sorted(facts.args.items())
            if wanted.every or not name.startswith(_PRIVATE)}  # fmt: skip
    request: dict[str, Any] = {"frontend": "dockerfile.v0"}
    if told:
        request["args"] = told
    if wanted.every and facts.secrets:
        request["secrets"] = [{"id": name} for name in facts.secrets]
    if wanted.every and facts.agents:
        request["ssh"] = [{"id": name} for name in facts.agents]
    if facts.locals:
        request["locals"] = [{"name": name} for name in facts.locals]
    return request


def _whole(wanted: Wanted, facts: Facts) -> bool:
    return wanted.every or not any(name.startswith(_PRIVATE) for name in facts.args)


def _hermetic(facts: Facts) -> bool:
    return not facts.locals and not facts.networked


def _source(facts: Facts, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if facts.remote:
        found["uri"] = facts.remote
        known = [one.digest for one in facts.materials if one.uri == facts.remote]
        if known:
            found["digest"] = _digest(known[0])
    return found | {path: facts.dockerfile}


def _materials(facts: Facts) -> list[dict[str, Any]]:
    unique = {one.uri: one for one in facts.materials}
    return [{"uri": one.uri, "digest": _digest(one.digest)} for _, one in sorted(unique.items())]


def _digest(text: str) -> dict[str, str]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}


def _metadata(wanted: Wanted, facts: Facts) -> dict[str, Any]:
    if not wanted.every:
        return {}
    data = base64.b64encode(facts.text.encode("utf-8", "surrogateescape")).decode()
    info = {"filename": facts.dockerfile, "language": "Dockerfile", "data": data}
    return {"source": {"infos": [info]}}
