"""cluster-store, cluster-advertise and cluster-store-opts: what they mean and what they cannot."""

import asyncio
import base64
import functools
import subprocess

import pytest

from sampan.engine.settings import Settings, check
from sampan.engine.shared import choice
from sampan.kit import errors
from sampan.network.shared.etcd_gateway import Gateway
from sampan.network.shared.store import Life, StoreUnavailable
from tests import etcd_server


def parsed(store: str = "", advertise: str = "", **options: object) -> choice.Choice:
    values = {"cluster-store": store, "cluster-advertise": advertise, "cluster-store-opts": options}
    settings = Settings(values)
    check(settings)
    return choice.parse(settings)


def test_what_is_meant():
    assert not parsed().asked
    found = parsed("etcd://a:2379,[2001:db8::1]:2379/deep/place/", "eth0")
    assert found.members == ("a:2379", "[2001:db8::1]:2379")
    assert (found.prefix, found.advertise) == ("/deep/place/", "eth0")
    assert (found.heartbeat, found.ttl, found.hold) == (20, 60, 86400)
    assert parsed("etcd://a:2379").prefix == "/sampan/"
    assert parsed("sqlite:///var/lib/n.db").file == "/var/lib/n.db"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("consul://a:1",), "cluster-store must look like etcd://HOST:PORT"),
        (("etcd://a",), "cluster-store must look like"),
        (("etcd://user@a:1",), "cluster-store must look like .*kv.username and kv.passwordfile"),
        (("sqlite://a/b",), "cluster-store must look like"),
        (("", "eth0"), "need cluster-store"),
        (("etcd://a:1", "eth0:2376"), "cluster-advertise must be an address or an interface"),
    ],
)
def test_what_cannot_be_is_said(arguments, sentence):
    with pytest.raises(errors.InvalidArgument, match=sentence):
        parsed(*arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kv.certfile": "x"}, "kv.certfile and kv.keyfile go together"),
        ({"kv.username": "x"}, "kv.username and kv.passwordfile go together"),
        ({"kv.user": "x"}, "there is no kv.user; there are kv.cacertfile"),
        ({"discovery.ttl": "soon"}, "discovery.ttl must be a number of seconds, not 'soon'"),
        ({"discovery.ttl": "20"}, "discovery.heartbeat must be shorter"),
    ],
)
def test_options_that_cannot_be(options, sentence):
    with pytest.raises(errors.InvalidArgument, match=sentence):
        parsed("etcd://a:1", **options)


def test_a_password_in_the_wrong_place_is_not_repeated():
    for arguments, options in (
        (("etcd://root:secret@a:1",), {}),
        (("etcd://a:1",), {"kv.password": "secret"}),
    ):
        with pytest.raises(errors.InvalidArgument, match=r"kv\.passwordfile") as caught:
            parsed(*arguments, **options)
        assert "secret" not in str(caught.value)


def test_certificates_that_are_not_there(tmp_path):
    found = parsed("etcd://a:1", **{"kv.cacertfile": f"{tmp_path}/ca.pem"})
    with pytest.raises(errors.InvalidArgument, match=r"ca\.pem: No such file"):
        choice.open(found, str(tmp_path))


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@etcd_server.needed
def test_tls_with_a_certificate_of_ones_own(tmp_path):
    ca, key, cert = (f"{tmp_path}/{name}" for name in ("ca.pem", "key.pem", "cert.pem"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    openssl("req", "-x509", *curve, "-keyout", f"{tmp_path}/ca.key", "-out", ca,
            "-subj", "/CN=trial", "-days", "2")  # fmt: skip
    signed = ("-CA", ca, "-CAkey", f"{tmp_path}/ca.key", "-subj", "/CN=localhost", "-days", "2")
    extensions = ("subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:false")
    asked = [word for extension in extensions for word in ("-addext", extension)]
    openssl("req", "-x509", *curve, "-keyout", key, "-out", cert, *signed, *asked)
    words = ("--cert-file", cert, "--key-file", key, "--client-cert-auth", "--trusted-ca-file", ca)

    async def join(url: str, **options: object) -> None:
        store = choice.open(parsed(url.replace("https:", "etcd:"), **options), str(tmp_path))
        try:
            await store.join()
        finally:
            await store.close()

    with etcd_server.running(options=words) as url:
        trusted = {"kv.cacertfile": ca}
        asyncio.run(join(url, **trusted, **{"kv.certfile": cert, "kv.keyfile": key}))
        for wrong in ({}, trusted):
            with pytest.raises(StoreUnavailable, match="etcd at http"):
                asyncio.run(join(url, **wrong))


async def joined(url: str, directory: str, **options: object) -> None:
    """A whole round with a store: leases, a key, a look."""
    store = choice.open(parsed(url.replace("http:", "etcd:") + "/sea", **options), directory)
    try:
        await store.join()
        await store.put({"host": "one"}, Life.PRESENCE)
        assert (await store.read())[1] == {"host": "one"}
        await store.leave()
    finally:
        await store.close()


class Etcd:
    """One that knows its users, who are set up as root of it."""

    def __init__(self, url: str) -> None:
        self.gateway = Gateway([url], patience=5, login=lambda: ("root", "root's own"))

    async def ask(self, path: str, **body: object) -> None:
        await self.gateway.ask(f"/v3/auth/{path}", body)

    async def admit(self, name: str, password: str) -> None:
        """A user who may use what is below /sea/, and nothing else."""
        await self.ask("user/add", name="root", password="root's own")
        await self.ask("user/grant", user="root", role="root")
        await self.ask("role/add", name="hosts")
        below = {"key": base64.b64encode(b"/sea/"), "range_end": base64.b64encode(b"/sea0")}
        permission = {"permType": "READWRITE", **{k: v.decode() for k, v in below.items()}}
        await self.ask("role/grant", name="hosts", perm=permission)
        await self.ask("user/add", name=name, password=password)
        await self.ask("user/grant", user=name, role="hosts")
        await self.ask("enable")


@etcd_server.needed
def test_an_etcd_that_wants_a_user_and_a_password(tmp_path):
    file = tmp_path / "password"
    file.write_text("p: ä\n")
    who = {"kv.username": "sampan", "kv.passwordfile": str(file)}

    async def body(url: str) -> None:
        join = functools.partial(joined, url, str(tmp_path))
        await join(**who)  # it asks nobody yet
        etcd = Etcd(url)
        await etcd.ask("role/add", name="root")
        await etcd.admit("sampan", "p: ä")
        await join(**who)
        with pytest.raises(StoreUnavailable, match="user name is empty"):
            await join()
        store = choice.open(parsed(url.replace("http:", "etcd:") + "/sea", **who), str(tmp_path))
        await store.join()
        await etcd.ask("user/changepw", name="sampan", password="another")  # our token ends
        with pytest.raises(StoreUnavailable, match="authentication failed") as caught:
            await store.read()
        assert "p: ä" not in str(caught.value)
        file.write_text("another")
        await store.read()
        await store.close()
        await etcd.gateway.close()

    with etcd_server.running() as url:
        asyncio.run(body(url))
    file.unlink()
    with pytest.raises(errors.InvalidArgument, match="password: No such file"):
        choice.open(parsed("etcd://a:1", **who), str(tmp_path))
