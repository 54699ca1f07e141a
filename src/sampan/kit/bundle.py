"""One file with the compiled modules of a program, from which it imports.

A program that lives for 20 ms spends 10 of them importing eighty modules, and half of that on
looking for each: directories, the source's date, the file in `__pycache__`. A bundle is opened once
and has each module's code at a known place. It is made at set-up (tools/launchers.py); a module
whose source has another date or size than when the bundle was made is imported as usual.

    file = length of the head in 4 bytes, little endian
           head: marshal of (code of this module, {name: Entry})
           the modules' code, each marshalled, one after the other

docs/decisions/0006-bundle.md has the figures.
"""

from __future__ import annotations

import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    # source, its mtime in ns and size in bytes; a package's directory; offset, length of the code
    Entry = tuple[str, int, int, str, int, int]


_HIGH = 500  # a descriptor that no caller hands on, where few are allowed one of them


def install(fd: int, start: int, modules: dict[str, Entry]) -> None:
    """Import `modules` from the bundle open as `fd`, whose code begins at `start`; takes `fd`."""
    import fcntl

    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH // 10)
    posix.close(fd)
    sys.meta_path.insert(0, Finder(high, start, modules))


class Finder:
    """A finder and loader of the modules in a bundle (PEP 451)."""

    def __init__(self, fd: int, start: int, modules: dict[str, Entry]) -> None:
        self.fd, self.start, self.modules = fd, start, modules
        self.spec: Any = type(sys.__spec__)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        entry = self.modules.get(name)
        if entry is None:
            return None
        try:
            now = posix.stat(entry[0])
        except OSError:
            return None
        if now.st_mtime_ns != entry[1] or now.st_size != entry[2]:
            return None
        spec = self.spec(name, self, origin=entry[0], is_package=bool(entry[3]))
        spec.has_location = True
        if entry[3]:
            spec.submodule_search_locations.append(entry[3])
        return spec

    def create_module(self, spec: object) -> None:
        """The ordinary kind of module."""

    def exec_module(self, module: Any) -> None:
        entry = self.modules[module.__name__]
        code = posix.pread(self.fd, entry[5], self.start + entry[4])
        exec(marshal.loads(code), module.__dict__)


def write(path: str, names: Iterable[str]) -> None:
    """Bundle the modules `names`, which this interpreter must find, into the file `path`.

    Raises ImportError for a module that is not there as Python source.
    """
    import importlib.util
    import os

    entries: dict[str, Entry] = {}
    codes = b""
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise ImportError(f"{name} has no source to bundle", name=name)
        about = os.stat(spec.origin)
        code = marshal.dumps(_compiled(spec.origin))
        directory = (spec.submodule_search_locations or [""])[0]
        entries[name] = (
            *(spec.origin, about.st_mtime_ns, about.st_size, directory),
            *(len(codes), len(code)),
        )
        codes += code
    head = marshal.dumps((_compiled(__file__), entries))
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(4, "little") + head + codes)


def _compiled(source: str) -> Any:
    with open(source, "rb") as file:
        return compile(file.read(), source, "exec", dont_inherit=True)
