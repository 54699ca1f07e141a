"""Authentication of the distribution protocol, as decisions: bytes in, values out.

    challenges = parse("Bearer realm=…,service=…,scope=…")
    request = token_request(challenge, scopes, credentials)    what to send to the realm
    token = token_answer(body, now)                            what came back, and until when

Sources: RFC 7235 (challenges), RFC 7617 (basic), Docker's token authentication specification
("Docker Registry v2 authentication", scope and oauth2 pages).
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

CLIENT_ID = "sampan"
_LIFETIME = 60  # seconds, where the answer names none (token specification)
_MARGIN = 5  # seconds before its end at which a token is no longer used

_CHALLENGE = re.compile(r"\s*,?\s*([A-Za-z][\w-]*)(?:\s+|\s*$|(?=,))")
_PARAMETER = re.compile(r'\s*,?\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class BadAnswer(errors.Unavailable):
    def __init__(self, realm: str, why: str) -> None:
        super().__init__(f"the token server {realm} gave no token: {why}")


class Credentials(Record):
    """How to be somebody at a registry; any of the three, none means anonymous."""

    username: str = ""
    password: str = ""
    identity_token: str = ""  # oauth2 refresh token
    registry_token: str = ""  # sent as it is

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, …)"


class Challenge(Record):
    scheme: str  # lower case
    parameters: dict[str, str]


class Token(Record):
    value: str
    expires: float  # on the clock that `now` came from

    def good(self, now: float) -> bool:
        return now < self.expires - _MARGIN

    def __repr__(self) -> str:
        return f"Token(expires={self.expires!r})"


class TokenRequest(Record):
    method: str
    url: str
    headers: dict[str, str]
    body: bytes = b""


def parse(header: str) -> list[Challenge]:
    """The challenges of a WWW-Authenticate header; what is no challenge is passed over."""
    found: list[Challenge] = []
    at = 0
    while match := _CHALLENGE.match(header, at):
        at = match.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            at = parameter.end()
            value = parameter[2]
            parameters[parameter[1].lower()] = (
                re.sub(r"\\(.)", r"\1", value) if value is not None else parameter[3]
            )
        found.append(Challenge(scheme=match[1].lower(), parameters=parameters))
    return found


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The one to answer: bearer before basic, nothing else is known."""
    known = {challenge.scheme: challenge for challenge in challenges}
    bearer = known.get("bearer")
    if bearer is not None and bearer.parameters.get("realm"):
        return bearer
    return known.get("basic")


def scope(path: str, actions: str) -> str:
    """`repository:library/busybox:pull`; actions are joined by commas."""
    return f"repository:{path}:{actions}"


def merge(scopes: Iterable[str]) -> tuple[str, ...]:
    """Each resource once with all its actions, in a stable order (one cached token each)."""
    actions: dict[str, set[str]] = {}
    for item in scopes:
        for one in item.split():
            resource, colon, wanted = one.rpartition(":")
            if not colon:
                continue  # no scope of the specification
            actions.setdefault(resource, set()).update(filter(None, wanted.split(",")))
    return tuple(
        f"{resource}:{','.join(sorted(actions[resource]))}" for resource in sorted(actions)
    )


def basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()


def token_request(
    challenge: Challenge, scopes: Iterable[str], credentials: Credentials | None
) -> TokenRequest:
    """GET with basic authentication or anonymously; POST (oauth2) with an identity token."""
    realm = challenge.parameters["realm"]
    service = challenge.parameters.get("service", "")
    wanted = merge(scopes)
    if credentials is not None and credentials.identity_token:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.identity_token,
            "client_id": CLIENT_ID,
            "service": service,
            "scope": " ".join(wanted),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return TokenRequest(
            method="POST", url=realm, headers=headers, body=urlencode(form).encode()
        )
    parts = urlsplit(realm)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if service:
        query.append(("service", service))
    query += [("scope", item) for item in wanted]
    headers = {}
    if credentials is not None and credentials.username:
        headers["Authorization"] = basic(credentials)
        query.append(("account", credentials.username))
    url = urlunsplit(parts._replace(query=urlencode(query)))
    return TokenRequest(method="GET", url=url, headers=headers)


def token_answer(realm: str, body: bytes, now: float) -> Token:
    """Raises BadAnswer."""
    try:
        answer = json.loads(body)
        value = answer.get("token") or answer.get("access_token")
        lifetime = float(answer.get("expires_in") or _LIFETIME)
    except (ValueError, AttributeError, TypeError) as error:
        raise BadAnswer(realm, f"its answer is not understood ({error})") from error
    if not isinstance(value, str) or not value:
        raise BadAnswer(realm, "its answer holds neither token nor access_token")
    return Token(value=value, expires=now + max(lifetime, _LIFETIME))
