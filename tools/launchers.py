"""Write .venv/bin/sampan, sampand, sampan-oci, sampan-registry: they start as lightly as they can.

A `-I -S` start of the real interpreter (no pyenv shim, no `site`) costs half of an ordinary one.
Engine and registry also need the third-party packages of the virtual environment, so they are told
where these are; the other two use the standard library alone.
"""

from __future__ import annotations

import os
import sys
import sysconfig

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = {  # program → its module, and whether it sees third-party packages
    "sampan": ("sampan.cli.main", False),
    "sampand": ("sampan.cli.sampand", True),
    "sampan-registry": ("sampan.cli.sampan_registry", True),
    "sampan-oci": ("sampan.cli.sampan_oci", False),
}


def launcher(python: str, module: str, site_packages: str | None) -> str:
    paths = [os.path.join(ROOT, "src")] + ([site_packages] if site_packages else [])
    return (
        f"#!{python} -IS\nimport sys\nsys.path[:0] = {paths!r}\n"
        f"from {module} import main\nsys.exit(main())\n"
    )


def sealed_launcher(python: str, module: str) -> str:
    """Through the read-only view of the same interpreter, where an earlier start has left one.

    `-ef` compares device and inode, so a stale or foreign file there is never run; the program
    itself checks that it cannot be overwritten (docs/decisions/0001-sealed-interpreter.md).
    """
    sealed = f"/run/sampan/python/bin/{os.path.basename(os.path.realpath(python))}"
    source = os.path.join(ROOT, "src")
    code = (
        f"import sys; sys.argv.pop(0); sys.path.insert(0, {source!r}); "
        f"from {module} import main; sys.exit(main())"
    )
    head = f"#!/bin/sh\np={sealed}\n[ $p -ef {python} ] || p={python}\n"
    return f'{head}exec $p -ISc "{code}" "$0" "$@"\n'


def write(python: str) -> None:
    for name, (module, needs_packages) in PROGRAMS.items():
        path = os.path.join(ROOT, ".venv", "bin", name)
        packages = sysconfig.get_path("purelib") if needs_packages else None
        with open(path, "w") as file:
            if name == "sampan-oci":
                file.write(sealed_launcher(python, module))
            else:
                file.write(launcher(python, module, packages))
        os.chmod(path, 0o755)


if __name__ == "__main__":
    write(sys.argv[1])
