"""`sampan init`: what it proposes for a source tree, and what it refuses."""

import io
import json

import pytest
import yaml

from sampan.build import dockerfile
from sampan.cli import linting, starting
from sampan.cli.starting import recipe
from sampan.cli.starting.tree import Tree
from sampan.kit import errors

FASTAPI = {"app/main.py": "from fastapi import FastAPI\napi = FastAPI()\n"}
FLASK = {"web.py": "from flask import Flask\napp = Flask(__name__)\n"}
PYTHON, GO = {"main.py": "print()\n"}, {"main.go": "package main\n"}
VITE = {"scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}}
NEXT = {"scripts": {"build": "next build", "start": "next start"}, "dependencies": {"next": "15"}}

# files of the tree → the base of the last stage, its CMD, and a line that the Dockerfile has
TREES = {
    "pip": ({**PYTHON, "requirements.txt": ""}, "python:3.13-slim", ["python", "main.py"],
            "    pip install -r requirements.txt"),
    "fastapi": ({**FASTAPI, "requirements.txt": "uvicorn\n", ".python-version": "3.12.1\n"},
                "python:3.12-slim",
                ["uvicorn", "--host", "0.0.0.0", "--port", "8000", "app.main:api"], "EXPOSE 8000"),
    "flask": ({**FLASK, "requirements.txt": "flask\ngunicorn==23\n"}, "python:3.13-slim",
              ["gunicorn", "--bind", "0.0.0.0:8000", "web:app"], "EXPOSE 8000"),
    "flask alone": ({**FLASK, "requirements.txt": "flask\n"}, "python:3.13-slim",
                    ["flask", "--app", "web:app", "run", "--host", "0.0.0.0", "--port", "8000"],
                    "EXPOSE 8000"),
    "django": ({"manage.py": 'setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")',
                "requirements.txt": "django\ngunicorn\n"}, "python:3.13-slim",
               ["gunicorn", "--bind", "0.0.0.0:8000", "shop.wsgi"], "EXPOSE 8000"),
    "uv": ({**PYTHON, "uv.lock": "", "pyproject.toml": '[project]\nrequires-python = ">=3.14"\n'},
           "python:3.14-slim", ["python", "main.py"], "COPY pyproject.toml uv.lock ./"),
    "poetry": ({**PYTHON, "poetry.lock": "",
                "pyproject.toml": '[tool.poetry.dependencies]\npython = ">=3.9,<3.12"\n'},
               "python:3.11-slim", ["python", "main.py"],
               "    VIRTUAL_ENV=/venv /poetry/bin/poetry install --only main --no-root"),
    "pipenv": ({**PYTHON, "Pipfile": "", "Pipfile.lock": "{}"}, "python:3.13-slim",
               ["python", "main.py"], "COPY Pipfile Pipfile.lock ./"),
    "package": ({"pyproject.toml": '[project.scripts]\nsail = "boat:main"\n'}, "python:3.13-slim",
                ["sail"], "    pip install ."),
    "npm": ({"package.json": {"scripts": {"start": "node server.js"}}, "package-lock.json": "",
             ".nvmrc": "v22\n"}, "node:22-slim", ["node", "server.js"], "    npm ci --omit=dev"),
    "yarn": ({"package.json": {"main": "a.js"}, "a.js": "", "yarn.lock": ""}, "node:24-slim",
             ["node", "a.js"], "    yarn install --frozen-lockfile --production"),
    "pnpm and next": ({"package.json": NEXT, "pnpm-lock.yaml": ""}, "node:24-slim",
                      ["node", "node_modules/next/dist/bin/next", "start"],
                      "RUN pnpm run build && rm -rf node_modules"),
    "bun": ({"package.json": {"scripts": {"start": "bun serve.ts"}}, "bun.lock": ""},
            "oven/bun:1-slim", ["bun", "serve.ts"],
            "    bun install --frozen-lockfile --production"),
    "vite": ({"package.json": VITE, "index.html": "", "package-lock.json": ""},
             "nginxinc/nginx-unprivileged:1-alpine", ["nginx", "-g", "daemon off;"],
             "COPY --from=build --link /app/dist /usr/share/nginx/html/"),
    "go": ({"go.mod": "module x\n\ngo 1.24.2\n", "go.sum": "", **GO},
           "gcr.io/distroless/static-debian12:nonroot", ["/program"], "FROM golang:1.24 AS build"),
    "go below cmd": ({"go.mod": "module x\n", "cmd/x/main.go": "package main\n"},
                     "gcr.io/distroless/static-debian12:nonroot", ["/program"],
                     "    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /program ./cmd/x"),
    "rust": ({"Cargo.toml": '[package]\nname = "oar"\nrust-version = "1.85.1"\n',
              "src/main.rs": "", "Cargo.lock": ""}, "gcr.io/distroless/cc-debian12:nonroot",
             ["/program"], "    cargo build --release --locked --bin oar \\"),
    "maven": ({"pom.xml": "<java.version>17</java.version> org.springframework.boot"},
              "eclipse-temurin:17-jre",
              ["java", "-XX:MaxRAMPercentage=75", "-jar", "/app.jar"], "EXPOSE 8080"),
    "gradle": ({"build.gradle.kts": "", "gradlew": ""}, "eclipse-temurin:21-jre",
               ["java", "-XX:MaxRAMPercentage=75", "-jar", "/app.jar"],
               "FROM eclipse-temurin:21-jdk AS build"),
    "static": ({"public/index.html": ""}, "nginxinc/nginx-unprivileged:1-alpine",
               ["nginx", "-g", "daemon off;"], "COPY --link public/ /usr/share/nginx/html/"),
}  # fmt: skip


def planted(directory, files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return Tree(str(directory))


@pytest.mark.parametrize("name", TREES)
def test_the_files_of_a_tree(name, tmp_path):
    files, base, command, line = TREES[name]
    tree = planted(tmp_path, files)
    found = starting.propose(tree, "", recipe.Wishes())
    text = recipe.dockerfile(found)
    assert line in text.splitlines()
    stages = dockerfile.parse(text).stages
    assert stages[-1].start.base == base
    assert f"CMD {json.dumps(command)}" == text.splitlines()[-1]
    users = [one for one in text.splitlines() if one.startswith("USER ")]
    assert len(users) == 1 and users[0] != "USER 0"

    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / ".dockerignore").write_text(recipe.dockerignore(found))
    out = io.StringIO()
    assert linting.check(str(tmp_path), "", out) == 0, out.getvalue()

    (service,) = yaml.safe_load(recipe.compose(found, "My App")).get("services").items()
    assert service[0] == "my-app" and service[1]["build"] == "."
    port = f"127.0.0.1:{found.port}:{found.port}"
    assert service[1].get("ports") == ([port] if found.port else None)
    assert (f"EXPOSE {found.port}" in text) == bool(found.port)


REFUSED = [
    ({}, "", "no project that is known here"),
    ({"README": ""}, "", "choose with --kind python|node|go|rust|java|static"),
    ({"go.mod": "", "package.json": {}}, "",
     "several kinds of project: node (package.json), go (go.mod); choose one with --kind"),
    ({"go.mod": ""}, "cobol", "--kind cobol: it is one of python, node, go, rust, java, static"),
    ({"requirements.txt": ""}, "", "nothing to start was found"),
    ({"package.json": {}}, "", "package.json: nothing to start was found"),
    ({"package.json": "{"}, "", "package.json: Expecting property name"),
    ({"go.mod": "", "a/m.go": "package main", "b/m.go": "package main"}, "",
     "several programs: a, b"),
    ({"go.mod": ""}, "", "no package main"),
    ({"Cargo.toml": "[package"}, "", "Cargo.toml: Expected"),
    ({"Cargo.toml": '[[bin]]\nname="a"\n[[bin]]\nname="b"\n'}, "",
     "several programs: a, b; name one as default-run"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "kind", "sentence"), REFUSED)
def test_what_cannot_be_known_is_said(files, kind, sentence, tmp_path):
    tree = planted(tmp_path, files)
    with pytest.raises(errors.InvalidArgument) as raised:
        starting.propose(tree, kind, recipe.Wishes())
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_kind_command_and_port_are_the_callers(tmp_path):
    tree = planted(tmp_path, {"go.mod": "", "requirements.txt": ""})
    wishes = recipe.Wishes(command=("python", "-m", "x"), port=9000)
    text = recipe.dockerfile(starting.propose(tree, "python", wishes))
    assert text.endswith('CMD ["python", "-m", "x"]\n') and "EXPOSE 9000\n" in text


def test_the_program_writes_once_and_says_why(sampan, tmp_path):
    tree = tmp_path / "site"
    planted(tree, {"index.html": ""})
    shown = sampan("init", "--print", str(tree))
    assert "### compose.yaml\n" in shown.stdout and not (tree / "Dockerfile").exists()
    done = sampan("init", str(tree))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("static: index.html\nDockerfile:\n  nginx by its own makers")
    assert (tree / ".dockerignore").exists() and (tree / "compose.yaml").exists()

    (tree / "Dockerfile").write_text("mine")
    again = sampan("init", str(tree))
    assert again.returncode == 1 and again.stderr.count("\n") == 1
    assert "Dockerfile, .dockerignore, compose.yaml are there already: --force" in again.stderr
    assert (tree / "Dockerfile").read_text() == "mine"
    assert sampan("init", "--force", str(tree)).returncode == 0
    assert (tree / "Dockerfile").read_text() != "mine"
