"""Write .venv/bin/sampan, sampand, sampan-oci, sampan-registry: they start as lightly as they can.

A `-I -S` start of the real interpreter (no pyenv shim, no `site`) costs half of an ordinary one.
The two that live for milliseconds import from a bundle (sampan.kit.bundle), written here too;
`sampan-oci` uses the standard library alone, the others are told where the virtual environment's
packages are: last on the path, so that what is no package of theirs is found without a look there.
"""

from __future__ import annotations

import os
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCE = os.path.join(ROOT, "src")
PROGRAMS = {  # program → its module, and whether it sees third-party packages
    "sampan": ("sampan.cli.main", True),
    "sampand": ("sampan.cli.sampand", True),
    "sampan-registry": ("sampan.cli.sampan_registry", True),
    "sampan-oci": ("sampan.cli.sampan_oci", False),
}


# What a bundle holds beside the program's own module: whole rooms, and what they take from Python.
BUNDLES = {
    "sampan": ("kit", "client", "cli"),
    "sampan-oci": ("kit", "linux", "spec", "runtime", "cli/oci"),
}
LIBRARY = ("__future__", "struct", "types")


def start(name: str, module: str, packages: list[str]) -> str:
    """Python that runs a program's `main`, with its modules from the bundle where there is one.

    Nothing is collected or taken down in a life so short: the kernel frees it all at once.
    """
    lines = ["import sys"]
    if name == "sampan-oci":
        lines += ["sys.argv.pop(0)"]  # python -c
    lines += [f"sys.path[:] = [{SOURCE!r}, *sys.path, *{packages!r}]"]
    if name not in BUNDLES:
        lines += [f"from {module} import main", "sys.exit(main())"]
    else:
        lines += [
            "try:",
            "    import gc, marshal, posix",
            "    gc.disable()",
            f"    fd = posix.open({bundle_path(name)!r}, posix.O_RDONLY | posix.O_CLOEXEC)",
            "    size = int.from_bytes(posix.read(fd, 4), 'little')",
            "    code, modules = marshal.loads(posix.read(fd, size))",
            "    exec(code)",
            "    install(fd, 4 + size, modules)",
            "except OSError:",
            "    pass",
            f"from {module} import main",
            "from sampan.kit.ending import leave",
            "leave(main())",
        ]
    return "\n".join(lines) + "\n"


def launcher(python: str, code: str) -> str:
    return f"#!{python} -IS\n{code}"


def sealed_launcher(python: str, code: str) -> str:
    """Through the read-only view of the same interpreter, where an earlier start has left one.

    `-ef` compares device and inode, so a stale or foreign file there is never run; the program
    itself checks that it cannot be overwritten (docs/decisions/0001-sealed-interpreter.md).
    """
    sealed = f"/run/sampan/python/bin/{os.path.basename(os.path.realpath(python))}"
    head = f"#!/bin/sh\np={sealed}\n[ $p -ef {python} ] || p={python}\n"
    return f'{head}exec $p -ISc "{code}" "$0" "$@"\n'


def bundle_path(name: str) -> str:
    return os.path.join(ROOT, ".venv", "bundles", f"{name}.{sys.implementation.cache_tag}")


def modules_of(name: str) -> list[str]:
    found = ["sampan", "sampan.cli", PROGRAMS[name][0], *LIBRARY]
    for room in BUNDLES[name]:
        for directory, _, files in os.walk(os.path.join(SOURCE, "sampan", room)):
            package = os.path.relpath(directory, SOURCE).replace("/", ".")
            found += [f"{package}.{file}"[: -len(".py")] for file in files if file.endswith(".py")]
    return sorted({module.removesuffix(".__init__") for module in found})


def write(python: str) -> None:
    packages = sysconfig.get_path("purelib")
    for name, (module, needs_packages) in PROGRAMS.items():
        path = os.path.join(ROOT, ".venv", "bin", name)
        code = start(name, module, [packages] if needs_packages else [])
        with open(path, "w") as file:
            if name == "sampan-oci":
                file.write(sealed_launcher(python, code))
            else:
                file.write(launcher(python, code))
        os.chmod(path, 0o755)
    os.makedirs(os.path.dirname(bundle_path("")), exist_ok=True)
    sys.path.insert(0, SOURCE)
    from sampan.kit import bundle

    for name in BUNDLES:
        bundle.write(bundle_path(name), modules_of(name))


if __name__ == "__main__":
    write(sys.argv[1])
