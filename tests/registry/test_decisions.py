"""Authentication, hosts, credentials and retries as values: no server, no network."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.kit import errors as kinds
from sampan.registry import auth, credentials, hosts, problems, proxies, retries
from sampan.registry.auth import Credentials


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="a, b"', [("basic", {"realm": "a, b"})]),
        (
            'Bearer realm="https://t.test/x",service=reg,scope="repository:a/b:pull,push"',
            [("bearer", {"realm": "https://t.test/x", "service": "reg",
                         "scope": "repository:a/b:pull,push"})],
        ),
        ('Negotiate, Basic realm="q\\"uote"', [("negotiate", {}), ("basic", {"realm": 'q"uote'})]),
        ('Bearer a="x" , Basic b="y"', [("bearer", {"a": "x"}), ("basic", {"b": "y"})]),
        ("", []),
        ("=== ", []),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, expected: list) -> None:
    assert [(c.scheme, c.parameters) for c in auth.parse(header)] == expected


@given(st.text(max_size=200))
def test_no_header_breaks_the_reader(header: str) -> None:
    auth.choose(auth.parse(header))


def test_scopes_are_merged() -> None:
    merged = auth.merge(["repository:b:push", "repository:a:pull repository:b:pull,push", "", "x"])
    assert merged == ("repository:a:pull", "repository:b:pull,push")


def test_what_is_asked_of_a_token_server() -> None:
    (challenge,) = auth.parse('Bearer realm="https://t.test/token?keep=1",service="s p"')
    anonymous = auth.token_request(challenge, ["repository:a:pull"], None)
    query = parse_qs(urlsplit(anonymous.url).query)
    assert query == {"keep": ["1"], "service": ["s p"], "scope": ["repository:a:pull"]}
    assert anonymous.headers == {}
    known = auth.token_request(challenge, [], Credentials(username="ada", password="pä:ss"))
    assert base64.b64decode(known.headers["Authorization"][6:]).decode() == "ada:pä:ss"


def test_a_token_ends_before_it_expires() -> None:
    token = auth.token_answer("https://t.test", b'{"token": "x", "expires_in": 300}', now=1000.0)
    assert token.good(1290.0)
    assert not token.good(1296.0)
    assert "x'" not in repr(token)


def test_passwords_are_not_shown() -> None:
    shown = repr(Credentials(username="ada", password="secret", identity_token="tok"))
    assert "secret" not in shown
    assert "tok" not in shown


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("-1", 0.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("soon", None)],
)  # fmt: skip
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retries.retry_after(value, now=10.0) == seconds


def test_waiting_grows_and_is_spread() -> None:
    for attempt, most in enumerate((0.25, 0.5, 1.0, 2.0, 4.0, 4.0)):
        delays = {retries.backoff(attempt) for _ in range(50)}
        assert len(delays) > 1
        assert most / 2 <= min(delays) <= max(delays) <= most


def test_error_documents_become_words() -> None:
    document = {"errors": [{"code": "DENIED", "message": "no"}, {"code": "UNKNOWN"}]}
    found = problems.read_problem(json.dumps(document).encode(), "Forbidden")
    assert found == (("DENIED", "UNKNOWN"), "no, UNKNOWN")
    assert problems.read_problem(b"<html>", "Bad Gateway").message == "bad gateway"
    assert problems.read_problem(b"[1]", "Bad Gateway").message == "bad gateway"


def test_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "inside.test, other.test:5000")
    assert proxies.proxy_for("https://far.test/v2/") == "http://proxy.test:3128"
    for url in ("https://a.inside.test/", "https://other.test:5000/", "https://127.0.0.1:1/"):
        assert proxies.proxy_for(url) is None
    assert proxies.proxy_for("https://notinside.test/") == "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("host", "direct"),
    [("10.1.2.3:5000", True), ("11.1.2.3", False), ("[fd00::7]:5000", True), ("[fe00::7]", False),
     ("[2001:db8::1]", True), ("name.10.test", False)],
)  # fmt: skip
def test_no_proxy_for_networks(host: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,fd00::/8,[2001:db8::1],999.0.0.0/8")
    assert (proxies.proxy_for(f"https://{host}/v2/") is None) is direct


# -- hosts


def test_without_files_a_registry_is_its_own_host() -> None:
    config = hosts.Config(directories=())
    assert [h.name for h in config.of("docker.io")] == ["registry-1.docker.io"]
    (strict,) = config.of("registry.test:5000")
    assert (strict.scheme, strict.verify, strict.plain_fallback) == ("https", True, False)
    for name in ("localhost:5000", "127.9.9.9", "[::1]:5000"):
        assert config.of(name)[0].plain_fallback, name
    assert (
        hosts.Config(directories=(), insecure=("10.0.0.0/8",)).of("10.1.2.3:5000")[0].plain_fallback
    )


def test_a_hosts_file(tmp_path) -> None:
    place = tmp_path / "registry.test_5000_"
    place.mkdir()
    (place / "hosts.toml").write_text(
        """
server = "https://real.test"
[host."http://mirror.test:81"]
  capabilities = ["pull"]
  [host."http://mirror.test:81".header]
    x-one = "1"
[host."https://prefixed.test/proxy"]
  ca = "ca.pem"
  client = [["c.cert", "/abs/c.key"]]
  skip_verify = true
[host."https://odd.test/api"]
  override_path = true
"""
    )
    mirror, prefixed, odd, own = hosts.Config(directories=(str(tmp_path),)).of("registry.test:5000")
    assert (mirror.scheme, mirror.name, mirror.path) == ("http", "mirror.test:81", "/v2")
    assert mirror.capabilities == {"pull"}
    assert mirror.headers == (("x-one", "1"),)
    assert mirror.mirror_of == "registry.test:5000"
    assert (prefixed.path, prefixed.verify) == ("/proxy/v2", False)
    assert prefixed.ca == (f"{place}/ca.pem",)
    assert prefixed.client == ((f"{place}/c.cert", "/abs/c.key"),)
    assert odd.path == "/api"
    assert (own.name, own.mirror_of) == ("real.test", "")


def test_default_directory_and_dockers_certificates(tmp_path) -> None:
    (tmp_path / "_default").mkdir()
    (tmp_path / "_default" / "hosts.toml").write_text('[host."http://all.test"]')
    (tmp_path / "own.test").mkdir()
    (tmp_path / "own.test" / "ca.crt").touch()
    (tmp_path / "own.test" / "client.cert").touch()
    config = hosts.Config(directories=(str(tmp_path),))
    assert [h.name for h in config.of("any.test")] == ["all.test", "any.test"]
    (own,) = config.of("own.test")
    assert own.ca == (f"{tmp_path}/own.test/ca.crt",)
    assert own.client[0][1] == f"{tmp_path}/own.test/client.key"


def test_the_settings_mirrors_stay_beside_a_directory(tmp_path) -> None:
    place = tmp_path / "docker.io"
    place.mkdir()
    (place / "ca.crt").touch()
    config = hosts.Config(directories=(str(tmp_path),), mirrors=("http://near.test",))
    near, hub = config.of("docker.io")
    assert (near.name, near.mirror_of, near.ca) == ("near.test", "docker.io", ())
    assert (hub.name, hub.ca) == ("registry-1.docker.io", (f"{place}/ca.crt",))
    (place / "hosts.toml").write_text('[host."https://far.test"]\n')
    assert [h.name for h in config.of("docker.io")] == [
        "far.test", "near.test", "registry-1.docker.io",
    ]  # fmt: skip
    (place / "hosts.toml").write_text('[host."http://near.test"]\n')
    assert [h.name for h in config.of("docker.io")] == ["near.test", "registry-1.docker.io"]
    assert [h.name for h in config.of("other.test")] == ["other.test"]


def test_a_mirrors_own_certificates(tmp_path) -> None:
    (tmp_path / "near.test").mkdir()
    (tmp_path / "near.test" / "ca.crt").touch()
    config = hosts.Config(directories=(str(tmp_path),), mirrors=("https://near.test",))
    near, _ = config.of("docker.io")
    assert near.ca == (f"{tmp_path}/near.test/ca.crt",)


@pytest.mark.parametrize(
    "text", ["server = ", 'server = "ftp://x"', '[host."https://x"]\ncapabilities = ["fly"]',
             '[host."https://ada:secret@x"]', "a = " + "[" * 5000]
)  # fmt: skip
def test_a_bad_hosts_file_is_named(text: str, tmp_path) -> None:
    (tmp_path / "bad.test").mkdir()
    (tmp_path / "bad.test" / "hosts.toml").write_text(text)
    with pytest.raises(hosts.BadHosts, match=r"bad\.test/hosts\.toml: "):
        hosts.Config(directories=(str(tmp_path),)).of("bad.test")


# -- credentials


def config_file(path, **content) -> str:
    path.write_text(json.dumps(content))
    return str(path)


def test_credentials_from_files(tmp_path) -> None:
    pair = base64.b64encode(b"ada:se:cret").decode()
    first = config_file(tmp_path / "a.json", auths={"https://index.docker.io/v1/": {"auth": pair}})
    second = config_file(
        tmp_path / "b.json", auths={"reg.test:5000": {"auth": pair, "identitytoken": "t"}}
    )
    files = [str(tmp_path / "missing"), first, second]
    found = credentials.find("docker.io", files).credentials
    assert found == Credentials(username="ada", password="se:cret")
    assert credentials.find("reg.test:5000", files).credentials == found.replace(identity_token="t")
    assert credentials.find("other.test", files) == credentials.Found()


def test_a_helper_answers(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        '#!/bin/sh\nread server\necho "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"$server\\"}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    path = config_file(tmp_path / "c.json", credHelpers={"reg.test": "test"})
    assert credentials.find("reg.test", [path]).credentials == Credentials(
        identity_token="reg.test"
    )


def test_a_missing_helper_is_only_a_warning(tmp_path) -> None:
    path = config_file(tmp_path / "c.json", credsStore="not-installed-anywhere", auths={})
    found = credentials.find("reg.test", [path])
    assert found.credentials is None
    assert "docker-credential-not-installed-anywhere is not installed" in found.warnings[0]


def test_a_broken_file_is_only_a_warning(tmp_path) -> None:
    (tmp_path / "broken.json").write_text("{")
    assert (
        "broken.json" in credentials.find("reg.test", [str(tmp_path / "broken.json")]).warnings[0]
    )


def test_the_header_of_dockers_clients() -> None:
    text = json.dumps({"username": "ada", "password": "secret?>", "serveraddress": "reg.test"})
    for encode in (base64.urlsafe_b64encode, base64.b64encode):
        value = encode(text.encode()).decode()
        for header in (value, value.rstrip("=")):
            found = credentials.from_header(header)
            assert found == Credentials(username="ada", password="secret?>")
    assert credentials.from_header("e30=") is None
    assert credentials.from_header("") is None
    with pytest.raises(kinds.InvalidArgument, match="X-Registry-Auth"):
        credentials.from_header("!!!")
