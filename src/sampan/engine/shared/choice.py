"""Which network store this host uses, from the settings; and which address it has for the others.

    cluster-store          etcd://HOST:PORT[,HOST:PORT…][/PREFIX], sqlite:///FILE; "" is a file of
                           this engine's own: its overlay networks are on this host alone
    cluster-advertise      ADDRESS or INTERFACE, where the other hosts send frames
    cluster-store-opts     kv.cacertfile, kv.certfile, kv.keyfile: TLS with etcd
                           kv.username, kv.passwordfile: who this host is there
                           discovery.heartbeat (20), discovery.ttl (60): seconds between two signs
                           of life, and until the other hosts forget one that gives none
                           addresses.ttl (86400): until somebody else may have its addresses

Docker's names, of its libnetwork before swarm; user, password and the last option are ours. A
password is only ever in its file, which is read when etcd asks.
"""

from __future__ import annotations

import builtins
import functools
import os
import re
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import netlink
from sampan.network.shared.sqlite import SqliteStore
from sampan.network.shared.store import StoreUnavailable

if TYPE_CHECKING:
    import ssl

    from sampan.engine.settings import Settings
    from sampan.network.shared.store import NetworkStore

_FILES = ("kv.cacertfile", "kv.certfile", "kv.keyfile")
_WHO = ("kv.username", "kv.passwordfile")
_SECONDS = {"discovery.heartbeat": 20, "discovery.ttl": 60, "addresses.ttl": 86400}
_FORMS = "etcd://HOST:PORT[,HOST:PORT…][/PREFIX] or sqlite:///FILE"


class Choice(Record):
    """`file` or `members`; seconds."""

    file: str = ""
    members: tuple[str, ...] = ()  # HOST:PORT
    prefix: str = "/sampan/"
    advertise: str = ""
    heartbeat: int
    ttl: int
    hold: int
    cacertfile: str = ""
    certfile: str = ""
    keyfile: str = ""
    username: str = ""
    passwordfile: str = ""

    @property
    def asked(self) -> bool:
        """The administrator named one, so it is followed from the start."""
        return bool(self.file or self.members)


def parse(settings: Settings) -> Choice:
    """Raises InvalidArgument naming the key."""
    store, options = settings["cluster-store"], settings["cluster-store-opts"]
    if unknown := options.keys() - {*_FILES, *_WHO, *_SECONDS}:
        known = ", ".join((*_FILES, *_WHO, *_SECONDS))
        raise errors.InvalidArgument(
            f"cluster-store-opts: there is no {min(unknown)}; there are {known}"
        )
    if not store and (options or settings["cluster-advertise"]):
        raise errors.InvalidArgument("cluster-advertise and cluster-store-opts need cluster-store")
    heartbeat, ttl, hold = (_seconds(name, options.get(name)) for name in _SECONDS)
    if not heartbeat < ttl <= hold:
        raise errors.InvalidArgument(
            "cluster-store-opts: discovery.heartbeat must be shorter than discovery.ttl, and that "
            "not longer than addresses.ttl"
        )
    advertise = settings["cluster-advertise"]
    if not re.fullmatch(r"[0-9a-fA-F:.]+|[^/\s:]{1,15}|", advertise):
        raise errors.InvalidArgument(
            f"cluster-advertise must be an address or an interface of this host, not {advertise!r}"
        )
    cacert, cert, key = (str(options.get(name, "")) for name in _FILES)
    if bool(cert) != bool(key):
        raise errors.InvalidArgument("cluster-store-opts: kv.certfile and kv.keyfile go together")
    username, passwordfile = (str(options.get(name, "")) for name in _WHO)
    if bool(username) != bool(passwordfile):
        raise errors.InvalidArgument(
            "cluster-store-opts: kv.username and kv.passwordfile go together"
        )
    return Choice(
        **_place(store),
        advertise=advertise,
        heartbeat=heartbeat,
        ttl=ttl,
        hold=hold,
        cacertfile=cacert,
        certfile=cert,
        keyfile=key,
        username=username,
        passwordfile=passwordfile,
    )


def _place(store: str) -> dict[str, Any]:
    """`file`, or `members` and `prefix`."""
    if not store:
        return {}
    scheme, _, rest = store.partition("://")
    place, slash, path = rest.partition("/")
    if scheme == "sqlite" and not place and path:
        return {"file": slash + path}
    if "@" in place:  # without saying it: it may be a password
        raise errors.InvalidArgument(
            f"cluster-store must look like {_FORMS}; a user is named by cluster-store-opts, "
            "kv.username and kv.passwordfile"
        )
    members = tuple(place.split(","))
    if scheme != "etcd" or not all(re.fullmatch(r"[^@,\s]+:\d+", one) for one in members):
        raise errors.InvalidArgument(f"cluster-store must look like {_FORMS}, not {store!r}")
    prefix = path.strip("/")
    return {"members": members, "prefix": f"/{prefix}/" if prefix else "/sampan/"}


def _seconds(name: str, value: object) -> int:
    text = str(_SECONDS[name] if value is None else value)
    if not text.isdecimal() or not int(text):
        raise errors.InvalidArgument(
            f"cluster-store-opts: {name} must be a number of seconds, not {text!r}"
        )
    return int(text)


def open(choice: Choice, root: str) -> NetworkStore:
    """Nothing is asked yet. Raises InvalidArgument for files that cannot be used."""
    if not choice.members:
        file = choice.file or os.path.join(root, "networks.db")
        return SqliteStore(file, ttl=choice.ttl, hold=choice.hold)
    from sampan.network.shared.etcd import EtcdStore
    from sampan.network.shared.etcd_gateway import Gateway

    tls = _tls(choice)
    members = [f"{'https' if tls else 'http'}://{one}" for one in choice.members]
    patience = min(5, choice.heartbeat)
    login = functools.partial(_login, choice) if choice.username else None
    if login:
        try:
            login()
        except StoreUnavailable as e:
            raise errors.InvalidArgument(str(e)) from e
    return EtcdStore(
        Gateway(members, patience=patience, tls=tls, login=login),
        prefix=choice.prefix,
        ttl=choice.ttl,
        hold=choice.hold,
    )


def _login(choice: Choice) -> tuple[str, str]:
    try:
        with builtins.open(choice.passwordfile) as file:
            return choice.username, file.read().removesuffix("\n")
    except (OSError, ValueError) as e:
        words = (isinstance(e, OSError) and e.strerror) or "it is not text"
        raise StoreUnavailable(f"cluster-store-opts: {choice.passwordfile}: {words}") from e


def _tls(choice: Choice) -> ssl.SSLContext | None:
    if not choice.cacertfile and not choice.certfile:
        return None
    from sampan.kit import tls

    file = choice.cacertfile
    try:
        context = tls.context(ca=file or None)
        if choice.certfile:
            file = f"{choice.certfile}, {choice.keyfile}"
            context.load_cert_chain(choice.certfile, choice.keyfile)
    except OSError as e:
        raise errors.InvalidArgument(f"cluster-store-opts: {file}: {e.strerror or e}") from e
    return context


def own_address(choice: Choice) -> str:
    """Where the others reach this host now; blocking. "": nowhere, or nobody can say.

    What cluster-advertise says; else where packets to etcd come from.
    """
    if not choice.advertise:
        return _towards(choice.members)
    try:
        return str(ip_address(choice.advertise))
    except ValueError:
        pass
    with netlink.Socket() as sock:
        link = sock.link(choice.advertise)
        for family in (socket.AF_INET, socket.AF_INET6):
            for address in sock.addresses(family):
                if link and address.index == link.index and address.permanent:
                    return address.address
    return ""


def _towards(members: tuple[str, ...]) -> str:
    """No packet is sent: connect(2) of a datagram socket only looks for the route."""
    for member in members:
        host, _, port = member.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
            with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
                probe.connect(found[4])
                address = probe.getsockname()[0]
        except OSError:
            continue
        if not ip_address(address.partition("%")[0]).is_loopback:
            return str(address)
    return ""
