"""nftables through libnftables (libnftables(3)): a change costs about 0.1 ms, an nft(8) run 2.5 ms.

    nft = Nft()
    nft.run("add table ip mine; add chain ip mine c")    # one transaction: all of it or nothing
    nft.list("list table ip mine")                       # [{"table": {...}}, {"chain": {...}}, …]

An `Nft` works in the network namespace of the thread that made it. One lock stands before the
library, which keeps its output in the context.
"""

from __future__ import annotations

import _thread
import ctypes
import json
import os
from ctypes import c_char_p, c_int, c_uint, c_void_p

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OUTPUT_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON of nftables/libnftables.h
_WORDS = {os.strerror(number): number for number in (1, 2, 12, 16, 17, 22, 95, 105)}
_lock = _thread.allocate_lock()


class Refused(OSError):
    """The kernel or the library refused `commands`; `errno` is the kernel's where it said one."""

    def __init__(self, errno: int, message: str, commands: str) -> None:
        super().__init__(errno, f"nft: {message}")
        self.commands = commands


def _library() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL("libnftables.so.1")
    except OSError as e:
        raise errors.Unsupported(
            "libnftables.so.1 is missing; install it (Debian, Ubuntu: apt install libnftables1)"
        ) from e
    lib.nft_ctx_new.restype, lib.nft_ctx_new.argtypes = c_void_p, [c_uint]
    lib.nft_ctx_free.restype, lib.nft_ctx_free.argtypes = None, [c_void_p]
    lib.nft_run_cmd_from_buffer.argtypes = [c_void_p, c_char_p]
    lib.nft_ctx_output_set_flags.restype = None
    lib.nft_ctx_output_set_flags.argtypes = [c_void_p, c_uint]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        function = getattr(lib, name)  # lib[name] would be a new object each time
        function.restype, function.argtypes = c_int, [c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        function = getattr(lib, name)
        function.restype, function.argtypes = c_char_p, [c_void_p]
    return lib


class Nft:
    """One libnftables context. Raises Unsupported without the library, `Refused` on failure."""

    def __init__(self) -> None:
        self._lib = _library()
        self._context = self._lib.nft_ctx_new(0)
        if not self._context:
            raise errors.Unsupported("libnftables could not open a context: no netfilter netlink")
        self._lib.nft_ctx_buffer_output(self._context)
        self._lib.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> str:
        """Run nft(8) commands as one transaction; what they print."""
        with _lock:
            return self._run(commands, 0)

    def list(self, command: str) -> list[dict[str, Any]]:
        """Run one `list …` command: its objects as libnftables-json(5) has them."""
        with _lock:
            text = self._run(command, _OUTPUT_JSON)
        found: list[dict[str, Any]] = json.loads(text)["nftables"] if text else []
        return [item for item in found if "metainfo" not in item]

    def close(self) -> None:
        if self._context:
            self._lib.nft_ctx_free(self._context)
            self._context = None

    def _run(self, commands: str, flags: int) -> str:
        self._lib.nft_ctx_output_set_flags(self._context, flags)
        failed = self._lib.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._lib.nft_ctx_get_output_buffer(self._context)
        words: bytes = self._lib.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise _refused(words.decode(errors="replace"), commands)
        return output.decode()


def _refused(words: str, commands: str) -> Refused:
    first = next((line for line in words.splitlines() if "Error:" in line), words).strip()
    message = first.partition("Error: ")[2] or first or "failed without a word"
    errno = next((n for text, n in _WORDS.items() if message.endswith(text)), 22)
    return Refused(errno, message, commands)
