"""Other people's suites against Sampan: `./do conformance [SUITE ...] [-- ARGUMENT ...]`.

Each suite is a module of `suites/` with `SUMMARY`, one line, and `run(work, arguments) -> Result`;
`work` is a directory under .cache that is kept between runs. A suite brings what it needs from
PyPI; the figures that were reached are in docs/conformance.md.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "src")]

from tests.conformance import suites  # noqa: E402


def main(arguments: list[str]) -> int:
    names = sorted(module.name for module in pkgutil.iter_modules(suites.__path__))
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, rest = arguments[:cut] or names, arguments[cut + 1 :]
    unknown = [name for name in chosen if name.replace("-", "_") not in names]
    if unknown:
        print(f"no such suite: {unknown[0]}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    results = []
    for name in chosen:
        module = importlib.import_module(f"tests.conformance.suites.{name.replace('-', '_')}")
        print(f"==> {module.SUMMARY}", flush=True)
        work = TOP / ".cache" / "conformance" / name.replace("-", "_")
        work.mkdir(parents=True, exist_ok=True)
        results.append((name, module.run(work, rest)))
    print()
    for name, result in results:
        for line in result.lines():
            print(f"{name:12} {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
