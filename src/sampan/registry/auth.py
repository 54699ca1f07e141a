"""Decisions about authentication, without any I/O: challenges in, requests and headers out.

https://distribution.github.io/distribution/spec/auth/token/ and RFC 7235.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import urlencode

from sampan.kit.record import Record

_PAIR = re.compile(r'([a-zA-Z_]+)="([^"]*)"|([a-zA-Z_]+)=([^\s,"]+)')


class Challenge(Record):
    scheme: str  # "bearer", "basic"
    parameters: dict[str, str]


def parse_challenge(header: str) -> Challenge:
    """A `WWW-Authenticate` header."""
    scheme, _, rest = header.strip().partition(" ")
    parameters = {(m[1] or m[3]).lower(): m[2] if m[1] else m[4] for m in _PAIR.finditer(rest)}
    return Challenge(scheme=scheme.lower(), parameters=parameters)


def token_url(challenge: Challenge, scope: str) -> str:
    """Where a bearer token is asked for. Raises KeyError without a realm."""
    query = [("scope", scope or challenge.parameters.get("scope", ""))]
    if service := challenge.parameters.get("service"):
        query.insert(0, ("service", service))
    realm = challenge.parameters["realm"]
    joiner = "&" if "?" in realm else "?"
    return realm + joiner + urlencode([(k, v) for k, v in query if v])


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def scope(path: str, *, push: bool = False) -> str:
    return f"repository:{path}:pull,push" if push else f"repository:{path}:pull"
