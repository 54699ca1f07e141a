"""Each rule of security is checked twice: on the program as it is, and on one without the rule.

A `Rule` is a check (assertions about what a container could do) and the edits that take the one
protection out of a copy of the source. The suite proves of each test that it bites: on the edited
copy, which still runs ordinary containers, the same check must fail.
"""

import os
import shutil
import sys

from sampan.kit.record import Record
from tests.conformance.test_oci_runtime import SOURCE

_PARTS = ("kit", "linux", "runtime", "spec")


class Edit(Record):
    """In `file`, `old` becomes `new`; `old` must be there exactly once."""

    file: str
    old: str
    new: str


class Rule:
    def __init__(self, name, check, weaken, also, newer):
        self.name, self.check, self.weaken, self.also = name, check, weaken, also
        self.newer = newer


RULES = []


def rule(name, *weaken, also=(), newer=False):
    """`also`: edits of both builds, where something has to be provoked first.

    `newer`: holds with the newer mount calls only.
    """

    def register(check):
        RULES.append(Rule(name, check, weaken, also, newer))
        return check

    return register


def copy_of_source(directory, edits):
    """A copy of what `sampan-oci` is made of, edited; its directory."""
    package = directory / "sampan"
    package.mkdir(parents=True)
    shutil.copy2(f"{SOURCE}/sampan/__init__.py", package)
    for part in _PARTS:
        shutil.copytree(f"{SOURCE}/sampan/{part}", package / part)
    shutil.copytree(
        f"{SOURCE}/sampan/cli", package / "cli", ignore=shutil.ignore_patterns("commands", "parse")
    )
    for edit in edits:
        path = package / edit.file
        text = path.read_text()
        assert text.count(edit.old) == 1, f"{edit.file}: {edit.old!r} is not there once any more"
        path.write_text(text.replace(edit.old, edit.new))
        compile(path.read_text(), str(path), "exec")
    return directory


def command(source, *before):
    """The program from a directory of source; `before` is Python that runs first."""
    lines = [f"import sys; sys.path.insert(0, {str(source)!r})", *before]
    lines.append("from sampan.cli.sampan_oci import main; sys.exit(main())")
    return [os.path.realpath(sys.executable), "-ISc", "\n".join(lines)]
