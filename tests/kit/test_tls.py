import ssl
import subprocess

import pytest

from sampan.kit import tls

CONFIG = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = CA:true
[server]
subjectAltName = DNS:here.test
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """A root with extensions as Docker's instructions make them, and a server's certificate."""
    top = tmp_path_factory.mktemp("pki")
    (top / "config").write_text(CONFIG)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "config")

    def made(name, section, *signer):
        subject = ("-subj", f"/CN={name}", "-days", "2", "-x509", "-extensions", section)
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        command = ["openssl", "req", *key, *subject, *files, *signer]
        subprocess.run(command, cwd=top, check=True, capture_output=True)

    made("root", "ca")
    made("server", "server", "-CA", "root.pem", "-CAkey", "root.key")
    made("other", "ca")
    return top


def shake_hands(pki, ca):
    server = tls.context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pki / "server.pem", pki / "server.key")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        tls.context(ca=str(pki / ca)).wrap_bio(back, there, server_hostname="here.test"),
        server.wrap_bio(there, back, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("ca", ["root.pem", "server.pem"])
def test_a_root_after_docker_s_instructions_and_the_certificate_itself_are_anchors(pki, ca):
    shake_hands(pki, ca)


def test_a_stranger_s_root_is_none(pki):
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(pki, "other.pem")
