"""`sampan login`: keep the credentials for a registry."""

from __future__ import annotations

import sys

from sampan.cli import config_file
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="login",
    summary="Log in to a registry",
    operands="[SERVER]",
    at_most=1,
    options=(
        option("-p --password", "string", "Password or access token"),
        option("--password-stdin", "bool", "Read it from stdin"),
        option("-u --username", "string", "User name"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    key = config_file.registry_key(args.operands[0] if args.operands else "")
    username, password = _ask(args)
    body = {"username": username, "password": password, "serveraddress": key}
    answer = session.client.call("POST", "/auth", None, body) or {}
    entry = {"username": username, "password": password}
    if answer.get("IdentityToken"):
        entry = {"username": username, "identitytoken": answer["IdentityToken"]}
    config_file.remember(session.config_dir, key, entry)
    print(answer.get("Status") or "Login Succeeded")


def _ask(args: Arguments) -> tuple[str, str]:
    username, password = args["username"], args["password"]
    if args["password-stdin"]:
        if password:
            raise args.fail("--password and --password-stdin are mutually exclusive", code=1)
        if not username:
            raise args.fail("must provide --username with --password-stdin", code=1)
        return username, sys.stdin.read().rstrip("\r\n")
    if password:
        print("WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
              file=sys.stderr)  # fmt: skip
    if not (username and password) and not sys.stdin.isatty():
        raise args.fail("cannot perform an interactive login from a non-TTY device", code=1)
    if not username:
        username = input("Username: ").strip()
    if not password:
        import getpass

        password = getpass.getpass("Password: ")
    return username, password
