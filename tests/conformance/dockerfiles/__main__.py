"""Write what our engine makes of the cases, or of those named, into the tables.

For a case that is new; what it writes is to be read. `./do conformance build` holds it against
buildah, `./do conformance buildkit` against BuildKit.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.conformance import dockerfiles
from tests.conformance.dockerfiles import builders, images
from tests.engine_process import Engine


def main() -> None:
    base = builders.base()
    cases = dockerfiles.cases()
    with tempfile.TemporaryDirectory() as place, Engine(image=False) as engine:
        ours = builders.Ours(engine, base)
        for case in cases:
            if sys.argv[1:] and case.name not in sys.argv[1:]:
                continue
            try:
                made = ours.build(case, builders.context(case, Path(place)))
                outcome = ("image", images.describe(made, base))
            except builders.Failed as error:
                outcome = ("fails", f"{error}\n")
            case.parts = [part for part in case.parts if part[0] not in ("image", "fails")]
            case.parts.append(outcome)
    for path in {case.path for case in cases}:
        texts = [dockerfiles.written(case) for case in cases if case.path == path]
        path.write_text("\n".join(texts))


main()
