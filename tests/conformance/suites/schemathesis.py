"""schemathesis (PyPI) on the OpenAPI document of `tests/conformance/openapi.py`: no 500, no hang.

What it says is in output.txt, the engine's log is looked through for tracebacks. Arguments go to
`schemathesis run`, such as `--max-examples 200`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance import openapi
from tests.conformance.suites import Result, environment
from tests.conformance.suites.docker_py import load_images
from tests.voyage.programs import Engine

SUMMARY = "schemathesis 4 on our API"
REQUIREMENTS = ("schemathesis==4.32.5",)
ADDRESS = "127.0.0.1:2375"  # of the island


def prepare(work: Path) -> None:
    environment(work, *REQUIREMENTS)


def run(work: Path, arguments: list[str], make: Callable[[Path], Engine]) -> Result:
    top = Path(tempfile.mkdtemp(prefix="schema-", dir="/var/tmp"))
    engine = make(top)
    (top / "sampand.json").write_text(json.dumps({"hosts": [f"tcp://{ADDRESS}"]}))
    engine.environment["SAMPAN_CONFIG"] = str(top / "sampand.json")
    (work / "openapi.json").write_text(json.dumps(openapi.document(["here", "missing"]), indent=1))
    report = work / "junit.xml"
    report.unlink(missing_ok=True)
    try:
        engine.start()
        load_images(engine, top, ("busybox:latest",))
        engine.cli("sampan")("run", "-d", "--init", "--name", "here", "busybox", "sleep", "1000")
        with open(work / "output.txt", "wb") as output:
            subprocess.run(
                [environment(work, *REQUIREMENTS).parent / "schemathesis", "run",
                 str(work / "openapi.json"), "--url", f"http://{ADDRESS}", "--checks",
                 "not_a_server_error", "--request-timeout", "20", "--phases", "examples,fuzzing",
                 "--report", "junit", "--report-junit-path", str(report), "--no-color",
                 *(arguments or ["--max-examples", "40"])],
                cwd=top, stdout=output, stderr=output, check=False, env={**os.environ},
            )  # fmt: skip
        log = (engine.run / "sampand.log").read_text(errors="replace")
        (work / "sampand.log").write_text(log)
        said = (work / "output.txt").read_text(errors="replace")
        failed = re.findall(r"^_+ ([A-Z]+ /\S*) _+$", said, re.MULTILINE)
        outcomes = dict.fromkeys(failed, "failed")
        outcomes["no traceback in the log"] = "failed" if "Traceback" in log else "passed"
        for path, methods in openapi.document([])["paths"].items():
            for method in methods:
                outcomes.setdefault(f"{method.upper()} {path}", "passed")
        return Result({"operations": ()}, outcomes)
    finally:
        engine.destroy()
        shutil.rmtree(top)
