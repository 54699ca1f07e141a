"""From the options of `run` and `create` to the body of `POST /containers/create`.

The body is word for word what Docker's CLI sends for the same options, defaults included;
`tests/conformance/test_cli_bodies.py` compares the two.
"""

from __future__ import annotations

from sampan.cli import endpoint_body, host_body
from sampan.cli.parse import env_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments

    Body = dict[str, Any]


def build(args: Arguments) -> Body:
    """The whole body. Raises UsageError where options contradict each other."""
    _check(args)
    body = _config(args)
    body["HostConfig"] = host_body.build(args)
    body["NetworkingConfig"] = {"EndpointsConfig": endpoint_body.build(args)}
    return body


def _check(args: Arguments) -> None:
    swappiness = args["memory-swappiness"]
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise args.fail(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    restart = args["restart"]
    if args["rm"] and restart and restart["Name"] != "no":
        raise args.fail("conflicting options: cannot specify both --restart and --rm")
    for name, what, known in (
        ("pid", "PID", ("host",)),
        ("uts", "UTS", ("host",)),
        ("userns", "USER", ("host",)),
        ("cgroupns", "CGROUP", ("host", "private")),
    ):
        mode = args[name]
        if mode and mode not in known and not (name == "pid" and mode.partition("container:")[2]):
            raise args.fail(f"--{name}: invalid {what} mode")
    if args["pull"] not in ("always", "missing", "never"):
        raise args.fail(
            f"invalid pull option: '{args['pull']}': must be one of "
            '"always", "missing" or "never"'
        )
    if args["mac-address"] and not _is_mac(args["mac-address"]):
        raise args.fail(f"{args['mac-address']} is not a valid mac address")


def _is_mac(text: str) -> bool:
    digits = text.replace("-", ":").split(":")
    return len(digits) == 6 and all(
        len(pair) == 2 and set(pair) <= set("0123456789abcdefABCDEF") for pair in digits
    )


def _config(args: Arguments) -> Body:
    attach = set(args["attach"])
    stdin = args["interactive"]
    if not attach and not args.given("attach"):
        attach = {"stdout", "stderr"} | ({"stdin"} if stdin else set())
    detached = "detach" in {o.name for o in args.command.options} and args["detach"]
    if detached:
        attach = set()
    entrypoint = args["entrypoint"]
    body: Body = {
        "Hostname": args["hostname"],
        "Domainname": args["domainname"],
        "User": args["user"],
        "AttachStdin": "stdin" in attach,
        "AttachStdout": "stdout" in attach,
        "AttachStderr": "stderr" in attach,
        "Tty": args["tty"],
        "OpenStdin": stdin,
        "StdinOnce": stdin and "stdin" in attach,
        "Env": _environment(args) or None,
        "Cmd": args.operands[1:] or None,
        "Image": args.operands[0],
        "Volumes": {path: {} for path, has_source in args["volume"] if not has_source},
        "WorkingDir": args["workdir"],
        "Entrypoint": [entrypoint] if args.given("entrypoint") else None,
        "OnBuild": None,
        "Labels": _labels(args),
    }
    ports = _exposed(args)
    if ports:
        body["ExposedPorts"] = ports
    if args.given("stop-signal"):
        body["StopSignal"] = args["stop-signal"]
    if args.given("stop-timeout"):
        body["StopTimeout"] = args["stop-timeout"]
    health = _health(args)
    if health is not None:
        body["Healthcheck"] = health
    return body


def _files(args: Arguments, option: str, *, lookup: bool) -> list[str]:
    found: list[str] = []
    for path in args[option]:
        try:
            found += env_file.read(path, lookup=lookup)
        except ValueError as error:
            raise args.fail(str(error)) from error
    return found


def _environment(args: Arguments) -> list[str]:
    return _files(args, "env-file", lookup=True) + env_file.resolve(args["env"])


def _labels(args: Arguments) -> dict[str, str]:
    labels = {}
    for entry in _files(args, "label-file", lookup=False) + args["label"]:
        key, _, value = entry.partition("=")
        labels[key] = value
    return labels


def _exposed(args: Arguments) -> dict[str, Any]:
    ports: dict[str, Any] = {published.port: {} for group in args["publish"] for published in group}
    ports.update((port, {}) for group in args["expose"] for port in group)
    return ports


def _health(args: Arguments) -> Body | None:
    names = ("cmd", "interval", "timeout", "start-period", "start-interval", "retries")
    given = [name for name in names if args[f"health-{name}"]]
    if args["no-healthcheck"]:
        if given:
            raise args.fail("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not given:
        return None
    for name in names[1:]:
        if args[f"health-{name}"] < 0:
            raise args.fail(f"--health-{name} cannot be negative")
    health: Body = {}
    if args["health-cmd"]:
        health["Test"] = ["CMD-SHELL", args["health-cmd"]]
    for key, name in (
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "start-period"),
        ("StartInterval", "start-interval"),
        ("Retries", "retries"),
    ):
        if args[f"health-{name}"]:
            health[key] = args[f"health-{name}"]
    return health
