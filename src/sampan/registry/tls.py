"""TLS contexts for hosts, and what a failed connection means in words."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp

from sampan.kit import tls
from sampan.registry import errors
from sampan.registry.hosts import BadHosts

if TYPE_CHECKING:
    from sampan.registry.hosts import Host

_REFUSALS = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
}


def context(host: Host) -> ssl.SSLContext:
    """Raises BadHosts for files that cannot be loaded."""
    made = tls.context()
    if not host.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    path = ""
    try:
        for path in host.ca:
            made.load_verify_locations(path)
        for path, key in host.client:
            made.load_cert_chain(path, key or None)
    except OSError as error:  # ssl.SSLError is one
        raise BadHosts(path, f"is no usable certificate ({error})") from error
    return made


def explain(error: Exception, name: str, directory: str) -> errors.Unreachable:
    """aiohttp's exception as one sentence that names the host and the way out."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = getattr(cause, "verify_message", "") or str(cause)
        return errors.NotTrusted(name, why, directory)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        if "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER_FAILURE" in str(error):
            return errors.SpeaksPlainHttp(name, directory)
        return errors.TlsFailed(name, f"tls: {getattr(error.os_error, 'reason', None) or error}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return errors.Unreachable(name, f"no such host ({_dns(error.os_error)})")
    if isinstance(error, TimeoutError):
        return errors.Unreachable(name, "it does not answer in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return errors.Unreachable(name, _REFUSALS.get(number, str(error.os_error).lower()))
    return errors.Unreachable(name, f"the connection was cut off ({_words(error)})")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _dns(error: OSError) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, socket.gaierror) and cause.strerror:
        return cause.strerror.lower()
    return (error.strerror or str(error)).lower()


def lasting(error: Exception) -> bool:
    """Whether trying again at once is pointless: refused, unknown, untrusted."""
    if isinstance(error, aiohttp.ClientConnectorSSLError | aiohttp.ClientConnectorCertificateError):
        return True
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return True
    return isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in _REFUSALS


def not_https(error: Exception) -> bool:
    """Whether the other side may speak plain http: the TLS handshake failed or was hung up on."""
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return True
    return isinstance(error, aiohttp.ClientOSError) and not lasting(error)
