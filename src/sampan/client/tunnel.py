"""Connections that are more than a socket: TLS, and ssh. Both come out as a plain one.

A process of ours, or ssh(1), stands between a socket pair and the far side. So all that an engine's
connection is used for works on them as on any other: poll(2), and closing one half (a client's
close_notify says "no more from me", RFC 8446 6.1; Python's own SSLSocket cannot do that).

The process is in a session of its own: Ctrl-C at the terminal is for the command, which may have
something to say to the engine about it.
"""

from __future__ import annotations

import _socket
import os
import select

from sampan.client import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sampan.client.address import Address

_CHUNK = 1 << 16
# Whichever is there; `sh -c`, because the login shell may be any.
_REMOTE = (
    "sh -c 'command -v sampan >/dev/null && exec sampan{0} system dial-stdio; "
    "exec docker{0} system dial-stdio'"
)


class Tls(Record):
    """Files by path, "" for none. Without `verify` the engine's certificate is not looked at."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True


def ssh(address: Address) -> _socket.socket:
    """`ssh HOST sampan system dial-stdio`, or docker's where there is no sampan."""
    words = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    if address.user:
        words += ["-l", address.user]
    if address.port:
        words += ["-p", str(address.port)]
    where = f" -H unix://{address.path}" if address.path else ""
    words += ["--", address.host, _REMOTE.format(where)]

    def become(theirs: _socket.socket) -> None:
        os.dup2(theirs.fileno(), 0)
        os.dup2(theirs.fileno(), 1)
        try:
            os.execvp(words[0], words)
        except OSError as error:
            error.filename = words[0]
            raise

    return _behind(become)


def tls(sock: _socket.socket, address: Address, wanted: Tls) -> _socket.socket:
    """Takes the socket over; Unreachable where the two do not trust each other."""
    import ssl

    try:
        line = _Line(sock, _context(wanted), address.host)
        line.handshake()
    except (OSError, ssl.SSLError) as error:
        sock.close()
        raise errors.Unreachable(address.text, _reason(error)) from error

    def relay(theirs: _socket.socket) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):  # who reads what we print is not to wait for this process
            os.dup2(null, number)
        line.relay(theirs)

    ours = _behind(relay)
    sock.close()
    return ours


def _behind(work: Callable[[_socket.socket], None]) -> _socket.socket:
    """Our end of a socket pair whose other end a new process works on."""
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    if os.fork() == 0:
        try:
            os.setsid()
            ours.close()
            work(theirs)
            os._exit(0)
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            os.write(2, f"{name}{(error.strerror or str(error)).lower()}\n".encode())
        finally:
            os._exit(1)
    theirs.close()
    return ours


def _context(wanted: Tls) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not wanted.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif wanted.ca:
        context.load_verify_locations(wanted.ca)
    else:
        context.load_default_certs()
    if wanted.cert or wanted.key:
        context.load_cert_chain(wanted.cert, wanted.key or None)
    return context


def _reason(error: OSError) -> str:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    name = f"{error.filename}: " if error.filename else ""
    return name + (error.strerror or str(error)).lower()


class _Line:
    """The TLS state machine of one connection (ssl.SSLObject over memory)."""

    def __init__(self, sock: _socket.socket, context: ssl.SSLContext, host: str) -> None:
        import ssl

        self._ssl = ssl
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except self._ssl.SSLWantReadError:
                self._flush()
                data = self._sock.recv(_CHUNK)
                if not data:
                    raise ConnectionResetError(0, "it closed the connection") from None
                self._in.write(data)
            else:
                self._flush()
                return

    def relay(self, plain: _socket.socket) -> None:
        """Until the engine is done, or whoever holds the other end of `plain` has closed it."""
        poll = select.poll()
        poll.register(plain, select.POLLIN)
        poll.register(self._sock, select.POLLIN)
        while True:
            for fd, events in poll.poll():
                if fd == plain.fileno():
                    data = plain.recv(_CHUNK) if events & select.POLLIN else b""
                    if data:
                        self._tls.write(data)
                    elif events & select.POLLHUP:
                        return
                    else:
                        poll.unregister(plain)
                        self._say_end()
                    self._flush()
                elif not self._hear(plain):
                    return

    def _say_end(self) -> None:
        try:
            self._tls.unwrap()
        except self._ssl.SSLError:
            pass  # the engine's own close_notify comes when it has answered

    def _hear(self, plain: _socket.socket) -> bool:
        """Pass on what the engine says; False at its end."""
        data = self._sock.recv(_CHUNK)
        if not data:
            return False
        self._in.write(data)
        while True:
            try:
                part = self._tls.read(_CHUNK)
            except self._ssl.SSLWantReadError:
                return True
            except self._ssl.SSLError:
                return False  # its close_notify, or the alert that says what it did not like
            if not part:
                return False
            plain.sendall(part)

    def _flush(self) -> None:
        while self._out.pending:
            self._sock.sendall(self._out.read())
