"""The option parser: Docker's syntax, errors and codes."""

import pytest

from sampan.cli import commands, options
from sampan.cli.options import HelpWanted, UsageError


def parse(line, name="run"):
    return options.parse(commands.get(name).COMMAND, line.split())


def test_short_flags_stand_together_and_values_stick_to_them():
    args = parse("-itp8080:80 -m=1m --name=x --rm=false -e A=1 -e B=2 busybox -l --help")
    assert args["interactive"] and args["tty"] and not args["rm"]
    assert args["memory"] == 1 << 20 and args["name"] == "x"
    assert args["env"] == ["A=1", "B=2"]
    assert args["publish"][0][0].host_port == "8080"
    assert args.operands == ["busybox", "-l", "--help"]


def test_options_may_follow_operands_where_a_command_allows_it():
    args = parse("a -f b -v -- -c", "rm")
    assert args.operands == ["a", "b", "-c"] and args["force"] and args["volumes"]


def test_what_was_not_given_has_its_default():
    args = parse("busybox")
    assert args["env"] == [] and args["sig-proxy"] is True and args["memory-swappiness"] == -1
    assert not args.given("sig-proxy")
    args["env"].append("x")
    assert parse("busybox")["env"] == []


@pytest.mark.parametrize(
    ("line", "name", "code", "says"),
    [
        ("--memoryy 1m x", "run", 125, "unknown flag: --memoryy (did you mean --memory?)"),
        ("-Z x", "run", 125, "unknown shorthand flag: 'Z' in -Z"),
        ("-itZ x", "run", 125, "unknown shorthand flag: 'Z' in -itZ"),
        ("--name", "run", 125, "flag needs an argument: --name"),
        ("-p", "run", 125, "flag needs an argument: 'p' in -p"),
        ("-m x b", "run", 125, 'invalid argument "x" for "-m, --memory" flag: invalid size: '),
        ("-p x b", "run", 125, "invalid containerPort: x"),
        ("", "run", 1, "'sampan run' requires at least 1 argument"),
        ("x", "exec", 1, "'sampan exec' requires at least 2 arguments"),
        ("x", "ps", 1, "'sampan ps' accepts no arguments"),
        ("x", "rename", 1, "'sampan rename' requires 2 arguments"),
        ("a b", "volume create", 1, "'sampan volume create' requires at most 1 argument"),
    ],
)
def test_a_wrong_line(line, name, code, says):
    with pytest.raises(UsageError) as caught:
        parse(line, name)
    assert str(caught.value).startswith(says)
    assert caught.value.code == code


def test_help_is_asked_for():
    for line in ("--help", "-it --help", "--name x --help"):
        with pytest.raises(HelpWanted):
            parse(line)
    assert parse("-h name busybox")["hostname"] == "name", "-h is --hostname to run"
    with pytest.raises(HelpWanted):
        parse("-h", "ps")


def test_the_table_of_names_and_the_records_agree():
    for module in commands.every():
        record = module.COMMAND
        names = {n for n, m in commands.NAMES.items() if f"commands.{m}" in module.__name__
                 and module.__name__.endswith(f".{m}")}  # fmt: skip
        assert names == {record.name, *record.aliases}
        assert record.summary and not record.summary.endswith(".")
        flags = [o.name for o in record.options] + [o.short for o in record.options if o.short]
        assert len(flags) == len(set(flags)), f"{record.name} has an option twice"
        assert all(option.help for option in record.options)
