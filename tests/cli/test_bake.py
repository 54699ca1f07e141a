"""`sampan bake --print`: what files, variables and --set come to, and what is refused."""

import json

import pytest

from sampan.cli.bake import hcl, jobs, sources
from sampan.cli.bake.definition import Definition
from sampan.kit import errors

HCL = """
variable "TAG" { default = "latest" }
variable "FAST" { default = false }
variable "LIST" {
  type    = list(string)
  default = ["a", "b"]
}
group "default" { targets = ["web", "sub"] }
group "sub" { targets = ["api"] }
target "_base" {
  args   = { V = 1, KEPT = "yes" }
  labels = { "a.b" = "c" }
}
target "web" {
  inherits   = ["_base"]
  context    = "web"
  args       = { V = FAST ? 2 : 3, GONE = null }
  tags       = ["x/web:${TAG}", notequal(TAG, "latest") ? "x/web:new" : ""]
  cache-from = ["type=registry,ref=x/web", "x/plain"]
  platforms  = [for arch in ["amd64", "arm64"] : "linux/${arch}"]
  output     = [{ type = "local", dest = "out" }]
  secret     = ["id=a,src=b"]
  ssh        = ["default"]
}
target "api" { dockerfile = "api.Dockerfile" }
"""
WEB = {
    "context": "web",
    "dockerfile": "Dockerfile",
    "args": {"KEPT": "yes", "V": "3"},
    "labels": {"a.b": "c"},
    "tags": ["x/web:latest"],
    "cache-from": [{"ref": "x/web", "type": "registry"}, {"ref": "x/plain", "type": "registry"}],
    "secret": [{"id": "a", "src": "b"}],
    "ssh": [{"id": "default"}],
    "platforms": ["linux/amd64", "linux/arm64"],
    "output": [{"dest": "out", "type": "local"}],
}
API = {"context": ".", "dockerfile": "api.Dockerfile"}
JSON = {
    "variable": {"TAG": {"default": "latest"}},
    "group": {"default": {"targets": ["app"]}},
    "target": {"app": {"tags": ["x/app:${TAG}"], "args": {"UP": "${upper(TAG)}", "N": 1}}},
}
COMPOSE = """
services:
  web.1:
    image: x/web:${TAG:-dev}
    build:
      context: ./web
      args: [A=1, TAG]
      additional_contexts: {base: "service:base"}
      x-bake: {platforms: [linux/arm64]}
  base:
    build: {context: base, dockerfile: B, secrets: [s], extra_hosts: ["h:1.2.3.4"]}
  db: {image: postgres}
secrets: {s: {file: ./s.txt}}
"""
MATRIX = """
target "app" {
  name   = "app-${item.v}-${mode}"
  matrix = {
    item = [{ v = "1" }, { v = "2" }]
    mode = ["x"]
  }
  target = item.v == "1" ? mode : null
}
"""


@pytest.fixture
def shown(sampan, tmp_path):
    """The JSON of `bake --print` for a file of this name and text."""

    def run(name, text, *words, **environment):
        path = tmp_path / name
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        done = sampan("bake", "--print", "-f", str(path), *words, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_inheritance_variables_and_groups(shown):
    groups = {"default": {"targets": ["sub", "web"]}, "sub": {"targets": ["api"]}}
    assert shown("docker-bake.hcl", HCL) == {"group": groups, "target": {"api": API, "web": WEB}}


def test_a_named_target_is_the_default_group(shown):
    found = shown("docker-bake.hcl", HCL, "api")
    assert found == {"group": {"default": {"targets": ["api"]}}, "target": {"api": API}}


def test_the_environment_sets_variables_of_their_kind(shown):
    web = shown("docker-bake.hcl", HCL, "web", TAG="7", FAST="true")["target"]["web"]
    assert web["tags"] == ["x/web:7", "x/web:new"] and web["args"]["V"] == "2"


def test_set_changes_what_the_pattern_matches(shown):
    words = ("*.args.V=9", "w*.tags=a", "w*.tags=b", "web.platform+=linux/s390x", "api.no-cache=1",
             "api.output=type=tar,dest=x", "web.target=t")  # fmt: skip
    found = shown("docker-bake.hcl", HCL, *(f"--set={word}" for word in words))["target"]
    assert found["web"]["args"]["V"] == found["api"]["args"]["V"] == "9"
    assert found["web"]["tags"] == ["a", "b"] and found["web"]["target"] == "t"
    assert found["web"]["platforms"] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert found["api"]["no-cache"] is True
    assert found["api"]["output"] == [{"dest": "x", "type": "tar"}]


def test_json_has_templates_too(shown):
    found = shown("docker-bake.json", JSON, TAG="v1")
    app = {"context": ".", "dockerfile": "Dockerfile", "args": {"N": "1", "UP": "V1"}}
    assert found["target"] == {"app": app | {"tags": ["x/app:v1"]}}


def test_compose_services_are_targets(shown):
    found = shown("compose.yaml", COMPOSE, TAG="t")
    assert found["group"] == {"default": {"targets": ["base", "web_1"]}}
    assert found["target"] == {
        "base": {
            "context": "base",
            "dockerfile": "B",
            "secret": [{"id": "s", "src": "./s.txt"}],
            "extra-hosts": {"h": "1.2.3.4"},
        },
        "web_1": {
            "context": "./web",
            "contexts": {"base": "target:base"},
            "dockerfile": "Dockerfile",
            "args": {"A": "1", "TAG": "t"},
            "tags": ["x/web:t"],
            "platforms": ["linux/arm64"],
        },
    }


def test_a_matrix_is_a_group(shown):
    found = shown("docker-bake.hcl", MATRIX, "app")
    names = ["app-1-x", "app-2-x"]
    assert found["group"] == {"app": {"targets": names}, "default": {"targets": ["app"]}}
    plain = {"context": ".", "dockerfile": "Dockerfile"}
    assert found["target"] == {names[0]: {**plain, "target": "x"}, names[1]: plain}


def test_of_several_parents_the_later_wins_and_both_give():
    text = (
        'target "a" {\n args = {A = 1, C = 1}\n cache-from = ["x"]\n tags = ["a"]\n}\n'
        'target "b" {\n args = {B = 2, C = 2}\n cache-from = ["y"]\n tags = ["b"]\n}\n'
        'target "c" { inherits = ["a", "b"] }\n'
    )
    found = Definition([hcl.parse(text)], {}).plan(["c"], []).targets["c"]
    assert found["args"] == {"A": "1", "B": "2", "C": "2"} and found["tags"] == ["b"]
    assert [one["ref"] for one in found["cache-from"]] == ["x", "y"]


def test_a_later_file_wins(sampan, tmp_path):
    (tmp_path / "a.hcl").write_text('target "default" {\n args = {A = 1, B = 1}\n tags = ["a"]\n}')
    (tmp_path / "b.json").write_text('{"target":{"default":{"args":{"B":"2"},"tags":["b"]}}}')
    words = (f"-f={tmp_path}/{name}" for name in ("a.hcl", "b.json"))
    target = json.loads(sampan("bake", "--print", *words).stdout)["target"]["default"]
    assert target["args"] == {"A": "1", "B": "2"} and target["tags"] == ["b"]


def test_targets_of_contexts_come_first_and_are_not_delivered():
    text = 'target "default" { contexts = { base = "target:low" } }\ntarget "low" {}'
    plan = Definition([hcl.parse(text)], {}).plan([], [])
    assert [*plan.targets] == ["low", "default"] and plan.linked == {"low"}
    words = jobs.words(plan.targets["default"], {"low": "sha256:1"}, "")
    assert "--build-context=base=docker-image://sha256:1" in words


EXPRESSIONS = {
    "1 + 2 * 3": 7, "(1 + 2) * 3": 9, "-2 + 5": 3, "7 / 2": 3.5, "8 / 2": 4, "!true || 1 < 2": True,
    '"a${1}b$${c}"': "a1b${c}", '"%{ if false }x%{ else }y%{ endif }"': "y", '"\\"\\n"': '"\n',
    "{a = [1, {b = 2}]}.a[1].b": 2, "[{n = 1}, {n = 2}][*].n": [1, 2],
    "{for k, v in {a = 1} : v => k}": {"1": "a"}, "[for i, v in [5, 6] : i if v > 5]": [1],
    'join(",", split("-", "a-b"))': "a,b", "max([1, 3]...)": 3, 'double("x")': "xx",
    'replace("1.2", ".", "-")': "1-2", 'regex("v(\\\\d+)", "v12")': ["12"],
    'substr("hello", 1, 3)': "ell", 'format("%s-%d", "a", 3)': "a-3", 'sanitize("a/b")': "a_b",
    'merge({a = 1}, {b = 2})': {"a": 1, "b": 2}, 'coalesce("", "x")': "x", 'sha1("")[0]': "d",
    "<<-E\n    a\n      ${X}\n  E\n": "a\n  x\n",
}  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text):
    functions = 'function "double" {\n params = [x]\n result = "${x}${x}"\n}\n'
    known = Definition([hcl.parse(f'{functions}X = "x"\nvalue = {text}')], {})
    assert known.lookup("value") == EXPRESSIONS[text]


REFUSED = [
    ("target {", [], "2:1: unexpected"),
    ('target "a" {\n  args = {\n    b c\n', [], "3:7:"),
    ('target "a" { contxt = "." }', ["a"],
     'target "a": there is no attribute "contxt" (did you mean context?)'),
    ('target "app" {}', ["ap"], 'there is no target "ap" (did you mean app?)'),
    ('target "app" {}', [], 'there is no target "default"'),
    ('target "a" { tags = "x" }', ["a"], "target \"a\": tags: a list is wanted, not 'x'"),
    ('variable "TAG" {}\ntarget "a" { tags = [TAGG] }', ["a"],
     'there is no variable "TAGG" (did you mean TAG?)'),
    ('target "a" { tags = [uper("x")] }', ["a"], 'no function "uper" (did you mean upper?)'),
    ('target "a" { inherits = ["b"] }\ntarget "b" { inherits = ["a"] }', ["a"],
     'target "a" inherits itself'),
    ('target "a" { contexts = { x = "target:a" } }', ["a"], 'target "a" needs itself'),
    ('a = b\nb = a\ntarget "t" { target = a }', ["t"], 'variable "a" needs itself'),
    ('variable "V" {\n default = 1\n validation {\n condition = V > 1\n'
     ' error_message = "low"\n}\n}', [], 'variable "V": low'),
    ('variable "V" { validation {} }', [], 'variable "V": validation: a condition is wanted'),
    ('target "a" { matrix = { v = ["1"] } }', [], 'target "a": a matrix wants a name'),
    ('target "a" { matrix = [] }', [], 'target "a": a matrix wants a name'),
    ('target "a" {\n matrix = []\n name = "x"\n}', [], "a matrix is an object of lists"),
    ('group "g" {}', [], 'group "g": a list of targets is wanted'),
    ('target "a" { inherits = "b" }', ["a"], 'target "a": inherits: a list of targets'),
    ('service "a" {}', [], '"service" is no block of a bake file'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names", "sentence"), REFUSED)
def test_mistakes_are_named(text, names, sentence):
    with pytest.raises(errors.InvalidArgument) as raised:
        Definition([sources.parse(text, ".hcl", {})], {}).plan(names, [])
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".hcl", ".json", ".yaml"])
def test_what_is_nested_too_deeply_is_refused(suffix):
    text = '{"a": ' * 2000 + "1" + "}" * 2000
    with pytest.raises(errors.InvalidArgument):
        Definition([sources.parse(text, suffix, {})], {}).plan(["a"], [])


@pytest.mark.parametrize("text", ["a", "a.args=1", "a.tags.x=1", "a.nothing=1"])
def test_a_set_of_another_form_is_refused(text):
    with pytest.raises(errors.InvalidArgument, match="--set"):
        Definition([hcl.parse('target "a" {}')], {}).plan(["a"], [text])


def test_a_compose_field_of_the_wrong_kind_is_placed():
    text = "services: {a: {build: {additional_contexts: 3}}}"
    with pytest.raises(
        errors.InvalidArgument, match=r"services\.a\.build: a field is of the wrong"
    ):
        sources.parse(text, ".yaml", {})
