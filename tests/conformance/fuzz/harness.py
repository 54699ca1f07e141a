"""One target under atheris: `python -m tests.conformance.fuzz.harness NAME [OPTION ...]`,
with libFuzzer's options."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["sampan"]):
    from tests.conformance.fuzz import targets


def main() -> None:
    name = sys.argv.pop(1)
    target = targets.TARGETS[name]

    def one(data: bytes) -> None:
        try:
            target.run(data)
        except target.allowed:
            pass

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
