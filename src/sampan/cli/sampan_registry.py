"""`sampan-registry`: what `sampan registry serve` runs."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sqlite3
import sys

from sampan.kit import errors
from sampan.registry.server import serving


def main() -> int:
    options = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO if options.debug else logging.WARNING,
        format="%(asctime)s %(levelname).1s %(message)s",
    )
    host, _, port = options.addr.rpartition(":")
    if not port.isdecimal():
        print(f"sampan: --addr must be HOST:PORT, not {options.addr!r}", file=sys.stderr)
        return 2
    work = serving.serve(
        options.root,
        (host.strip("[]") or "127.0.0.1", int(port)),
        tls=(options.tls_cert, options.tls_key) if options.tls_cert else None,
        htpasswd=options.htpasswd,
        ready=lambda address: print(f"serving at {address}", flush=True),
    )
    try:
        asyncio.run(work)
    except (errors.SampanError, OSError, sqlite3.Error) as error:
        print(f"sampan: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sampan-registry", description="Serve a registry.")
    parser.add_argument("--root", metavar="DIR", required=True)
    parser.add_argument("--addr", metavar="HOST:PORT", default="127.0.0.1:5000")
    parser.add_argument("--tls-cert", metavar="FILE", default="")
    parser.add_argument("--tls-key", metavar="FILE", default="")
    parser.add_argument("--htpasswd", metavar="FILE", default="")
    parser.add_argument("--debug", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
