"""Other people's suites: `./do conformance [--on ENGINE] [SUITE ...] [-- ARGUMENT ...]`.

Each suite is a module of `suites/` with `SUMMARY`, one line, `prepare(work)`, which fetches what
it needs (PyPI, Debian), and `run(work, arguments, make) -> Result`, which plays it on the engine
that `make` makes, on an island without any network (`island.py`) unless it says `AT_HOME`. `work`
is a directory under .cache that is kept between runs. `--on dockerd` runs the suites on Debian's
dockerd instead; a later run on ours then says which tests pass there and not here. The figures
that were reached are in docs/conformance.md.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "src")]

from tests.conformance import island, suites  # noqa: E402


def main(words: list[str]) -> int:
    found = pkgutil.iter_modules(suites.__path__)
    names = sorted(module.name.replace("_", "-") for module in found)
    cut = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="./do conformance")
    parser.add_argument("--on", choices=sorted(island.ENGINES), default="sampan", dest="engine")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(names))
    options = parser.parse_args(words[:cut])
    chosen = options.suites or names
    if unknown := [name for name in chosen if name not in names]:
        parser.error(f"no such suite: {unknown[0]}; there are: {', '.join(names)}")
    if reason := island.fits(options.engine):
        parser.error(reason)
    return _play(chosen, options.engine, words[cut + 1 :])


def _play(chosen: list[str], engine: str, arguments: list[str]) -> int:
    work, modules = {}, {}
    for name in chosen:
        module = name.replace("-", "_")
        work[name] = TOP / ".cache" / "conformance" / module
        work[name].mkdir(parents=True, exist_ok=True)
        modules[name] = importlib.import_module(f"tests.conformance.suites.{module}")
        modules[name].prepare(work[name])
    results = []
    away = False
    for name in sorted(chosen, key=lambda name: not hasattr(modules[name], "AT_HOME")):
        if not away and not hasattr(modules[name], "AT_HOME"):
            island.enter()  # there is no way back
            away = True
        print(f"==> {modules[name].SUMMARY}, on {engine}", flush=True)
        result = modules[name].run(work[name], arguments, island.ENGINES[engine])
        result.remember(work[name] / f"{engine}.json")
        if engine != "dockerd":
            result.beside(work[name] / "dockerd.json")
        results.append((name, result))
    print()
    for name, result in results:
        for line in result.lines():
            print(f"{name:12} {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
