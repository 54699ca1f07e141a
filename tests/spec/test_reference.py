"""Image names, as distribution reads them (github.com/distribution/reference)."""

import pytest

from sampan.spec import reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

VALID = [  # what a person writes, full, familiar
    ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
    ("library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana:latest"),
    ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ("a/b/c:d", "docker.io/a/b/c:d", "a/b/c:d"),
    ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
    ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
    ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
    ("host:5000", "docker.io/library/host:5000", "host:5000"),
    ("host:5000/x:1", "host:5000/x:1", "host:5000/x:1"),
    ("ghcr.io/o/x", "ghcr.io/o/x:latest", "ghcr.io/o/x:latest"),
    ("ghcr.io/library/x", "ghcr.io/library/x:latest", "ghcr.io/library/x:latest"),
    ("MyHost/x", "MyHost/x:latest", "MyHost/x:latest"),
    ("127.0.0.1:80/x", "127.0.0.1:80/x:latest", "127.0.0.1:80/x:latest"),
    ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
    ("[2001:db8::1]/x", "[2001:db8::1]/x:latest", "[2001:db8::1]/x:latest"),
    ("a-b.c_d__e---f", "docker.io/library/a-b.c_d__e---f:latest", "a-b.c_d__e---f:latest"),
    (f"x@{DIGEST}", f"docker.io/library/x@{DIGEST}", f"x@{DIGEST}"),
    (f"x:1@{DIGEST}", f"docker.io/library/x:1@{DIGEST}", f"x:1@{DIGEST}"),
    (f"h.io:1/x@{DIGEST}", f"h.io:1/x@{DIGEST}", f"h.io:1/x@{DIGEST}"),
    ("x:" + "T" * 128, "docker.io/library/x:" + "T" * 128, "x:" + "T" * 128),
    ("x:_a.b-C", "docker.io/library/x:_a.b-C", "x:_a.b-C"),
    (HEX[:-1], f"docker.io/library/{HEX[:-1]}:latest", f"{HEX[:-1]}:latest"),
    (f"{HEX}:1", f"docker.io/library/{HEX}:1", f"{HEX}:1"),
]

INVALID = [
    "", " ", "/", ":", "@", "/x", "x/", "a//b", "x:", ":1", "x@", f"@{DIGEST}", "x y", "x\n",
    "x:1\n",
    "Busybox", "library/Busybox", "host.io/X", "a_", "_a", "a.", ".a", "a-", "-a", "a..b", "a___b",
    "a._b", "é", "x:é", "x:-a", "x:.a", "x:" + "t" * 129, "x:a:b", "x@sha256:abc", f"x@{DIGEST}0",
    f"x@{DIGEST.upper()}", f"x@SHA256:{HEX}", "x@md5:" + "0" * 32, f"x@{DIGEST}@{DIGEST}", HEX,
    "-host.io/x", "a.-b.io/x", "host.io./x", "host..io/x", "host.io:/x", "host.io:p/x",
    "host:80:80/x",
    "[::1/x", "https://host.io/x", "../x", "./x", "host.io/../x", "host.io/" + "a" * 256,
]  # fmt: skip


@pytest.mark.parametrize(("text", "full", "familiar"), VALID)
def test_a_name_in_full_and_as_it_is_shown(text, full, familiar):
    assert reference.full(text) == full
    assert reference.familiar(full) == familiar
    assert reference.full(full) == full


@pytest.mark.parametrize("text", [f for _, _, f in VALID])
def test_what_is_shown_is_understood(text):
    assert reference.familiar(reference.full(text)) == text


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_name(text):
    with pytest.raises(reference.InvalidReference) as caught:
        reference.parse(text)
    assert "invalid reference format" in str(caught.value)


def test_the_parts():
    parsed = reference.parse(f"h:5/a/b:t@{DIGEST}")
    assert (parsed.domain, parsed.path, parsed.tag) == ("h:5", "a/b", "t")
    assert (parsed.repository, parsed.identifier) == ("h:5/a/b", DIGEST)
    assert reference.parse("x").identifier == "latest"
    assert reference.repository("x:1") == "docker.io/library/x"


def test_upper_case_is_named():
    with pytest.raises(
        reference.InvalidReference, match=r"repository name \(.*Busybox\) must be low"
    ):
        reference.parse("Busybox")


def test_a_path_of_255_characters_is_the_longest():
    assert reference.parse("host.io/" + "a" * 255).path == "a" * 255
    with pytest.raises(reference.InvalidReference, match="more than 255 characters"):
        reference.parse("host.io/" + "a" * 256)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (DIGEST, True),
        ("sha512:" + "0" * 128, True),
        ("sha256:" + "0" * 63, False),
        ("sha256:" + "A" * 64, False),
        ("sha256+b64u:" + "0" * 40, True),
        ("sha256:../" + "0" * 61, False),
        ("", False),
        (DIGEST + "\n", False),
    ],
)
def test_digests(text, valid):
    assert reference.valid_digest(text) is valid
