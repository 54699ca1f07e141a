"""Python: pip, uv, poetry or pipenv bring the dependencies; Django, FastAPI or Flask the start."""

from __future__ import annotations

import re

from sampan.cli.starting.recipe import Recipe, healthcheck, listening, stage, start, step
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.starting.recipe import Step, Wishes
    from sampan.cli.starting.tree import Tree

MARKS = ("pyproject.toml", "requirements.txt", "Pipfile", "setup.py", "manage.py")
NEWEST = 13  # 3.13: what has wheels everywhere
PORT = 8000
_IGNORED = ("**/__pycache__", "**/*.pyc", ".venv", "venv", ".pytest_cache", ".mypy_cache",
            ".ruff_cache", "*.sqlite3")  # fmt: skip
_APP = re.compile(r"^(\w+)(?:\s*:\s*\w+)?\s*=\s*(?:\w+\.)?(FastAPI|Flask)\(", re.MULTILINE)
_SCRIPTS = ("main.py", "app.py", "run.py", "server.py", "src/main.py", "__main__.py")
_PIP = "RUN --mount=type=cache,target=/root/.cache/pip \\"


class Entry(Record):
    words: tuple[str, ...]
    what: str
    port: int = 0
    caution: str = ""


def recipe(tree: Tree, wishes: Wishes) -> Recipe:
    entry = _entry(tree, wishes.port or PORT)
    if wishes.command:
        entry = Entry(words=wishes.command, what="the command given", port=wishes.port)
    if entry is None:
        raise errors.InvalidArgument(
            f"{tree.directory}: nothing to start was found (manage.py, a FastAPI or Flask object,"
            " [project.scripts], main.py, app.py); say it with --command"
        )
    image = f"python:{_version(tree)}-slim"
    manager, brought = _dependencies(tree)
    steps = [
        stage(image, "build", "What installs stays behind in this stage; slim is Debian less"
              " compilers, and runs the wheels of PyPI (alpine would not)."),
        step("One directory holds all that is installed, to be copied as a whole.",
             "RUN python -m venv /venv", "ENV PATH=/venv/bin:$PATH", "WORKDIR /app"),
        *brought,
        stage(image, "", "The image that runs has the same Python and nothing else."),
        step("Output is not held back in a buffer; no .pyc files, which nobody could keep.",
             "ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1"),
        step("A user of its own: a program broken into is not root.",
             "RUN useradd --uid 10001 --create-home app", "WORKDIR /app"),
        step("Dependencies first: they change less often than the source, and stay cached.",
             "COPY --from=build --link /venv /venv", "COPY . ."),
        step("By number, so that Kubernetes' runAsNonRoot can see it.", "USER 10001"),
    ]  # fmt: skip
    if entry.port:
        probe = f"import socket; socket.create_connection(('127.0.0.1', {entry.port}), 3)"
        steps += [listening(entry.port), healthcheck(["python", "-c", probe])]
    return Recipe(
        kind="python",
        seen=f"{manager}; {entry.what}",
        steps=(*steps, start(entry.words)),
        port=entry.port,
        ignored=_IGNORED,
        caution=entry.caution,
    )


def _version(tree: Tree) -> str:
    """`3.N`: .python-version's, or the newest that requires-python lets in."""
    pinned = re.match(r"\s*(3\.\d+)", tree.text(".python-version"))
    if pinned:
        return pinned[1]
    project = tree.toml("pyproject.toml")
    poetry = _table(project, "tool", "poetry", "dependencies").get("python", "")
    wanted = str(_table(project, "project").get("requires-python") or poetry)
    minor = NEWEST
    for sign, number in re.findall(r"(>=|<=|==|~=|<|\^)\s*3\.(\d+)", wanted):
        if sign == "<":
            minor = min(minor, int(number) - 1)
        elif sign in ("<=", "=="):
            minor = min(minor, int(number))
        else:
            minor = max(minor, int(number))
    return f"3.{minor}"


def _table(value: object, *path: str) -> dict[str, object]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _dependencies(tree: Tree) -> tuple[str, list[Step]]:
    """What manages them, and the steps that bring them into /venv."""
    locked = "Only what names the dependencies: the step is done again when they change, and"
    cached = f"{locked} a cache mount keeps what was downloaded, outside of the image."
    if tree.has("uv.lock"):
        return "uv.lock", [
            step("uv, of a fixed series, from its own image.",
                 "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/uv"),
            step(f"{cached} `--frozen`: exactly what uv.lock says.",
                 "COPY pyproject.toml uv.lock ./",
                 "RUN --mount=type=cache,target=/root/.cache/uv \\",
                 "    UV_PROJECT_ENVIRONMENT=/venv UV_LINK_MODE=copy"
                 " uv sync --frozen --no-dev --no-install-project"),
        ]  # fmt: skip
    if tree.has("poetry.lock"):
        return "poetry.lock", [
            step("poetry beside the program's own packages, of a fixed series.",
                 _PIP, "    python -m venv /poetry && /poetry/bin/pip install 'poetry==2.*'"),
            step(f"{cached} It installs into the environment that is active.",
                 "COPY pyproject.toml poetry.lock ./",
                 "RUN --mount=type=cache,target=/root/.cache/pypoetry \\",
                 "    VIRTUAL_ENV=/venv /poetry/bin/poetry install --only main --no-root"),
        ]  # fmt: skip
    if tree.has("Pipfile"):
        deploy = "--deploy" if tree.has("Pipfile.lock") else "--skip-lock"
        names = "Pipfile Pipfile.lock" if tree.has("Pipfile.lock") else "Pipfile"
        return names, [
            step("pipenv beside the program's own packages, of a fixed series.",
                 _PIP, "    python -m venv /pipenv && /pipenv/bin/pip install 'pipenv==2026.*'"),
            step(f"{cached} `--deploy` refuses a lock file that is out of date.",
                 f"COPY {names} ./", _PIP,
                 f"    VIRTUAL_ENV=/venv /pipenv/bin/pipenv install {deploy}"),
        ]  # fmt: skip
    if tree.has("requirements.txt"):
        return "requirements.txt", [
            step(cached, "COPY requirements.txt ./", _PIP,
                 "    pip install -r requirements.txt"),
        ]  # fmt: skip
    if tree.first("pyproject.toml", "setup.py"):
        return tree.first("pyproject.toml", "setup.py"), [
            step("The project is a package: it is installed with what it depends on. A cache mount"
                 " keeps what was downloaded, outside of the image.",
                 "COPY . .", _PIP, "    pip install ."),
        ]  # fmt: skip
    return "no list of dependencies", []


def _entry(tree: Tree, port: int) -> Entry | None:
    if tree.has("manage.py"):
        return _django(tree, port)
    for path in tree.files(".py"):
        found = _APP.search(tree.text(path))
        if found:
            return _web(tree, port, path, found[1], found[2])
    scripts = _table(tree.toml("pyproject.toml"), "project", "scripts")
    managed = tree.first("uv.lock", "poetry.lock", "Pipfile", "requirements.txt")
    if len(scripts) == 1 and not managed:
        name = next(iter(scripts))
        return Entry(words=(name,), what=f"the script {name} of pyproject.toml")
    if len(scripts) == 1:
        name, place = next(iter(scripts.items()))
        module, _, function = str(place).partition(":")
        code = f"import sys, {module}; sys.exit({module}.{function or 'main'}())"
        return Entry(words=("python", "-c", code), what=f"the script {name} of pyproject.toml")
    script = tree.first(*_SCRIPTS)
    return Entry(words=("python", script), what=script) if script else None


def _django(tree: Tree, port: int) -> Entry:
    found = re.search(r"DJANGO_SETTINGS_MODULE\W+([\w.]+)", tree.text("manage.py"))
    package = found[1].partition(".")[0] if found else ""
    if package and _depends(tree, "gunicorn"):
        served = ("gunicorn", "--bind", f"0.0.0.0:{port}", f"{package}.wsgi")
        return Entry(words=served, what="Django, served by gunicorn", port=port)
    words = ("python", "manage.py", "runserver", "--noreload", f"0.0.0.0:{port}")
    caution = "Django's runserver is for development: add gunicorn to the dependencies"
    return Entry(words=words, what="Django", port=port, caution=caution)


def _web(tree: Tree, port: int, path: str, name: str, kind: str) -> Entry:
    inside = path.removeprefix("src/")
    folder = ("--app-dir", "src") if inside != path else ()
    module = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    place = f"{module}:{name}"
    what = f"{kind} in {path}"
    if kind == "FastAPI":
        words = ("uvicorn", *folder, "--host", "0.0.0.0", "--port", str(port), place)
        missing = not any(_depends(tree, d) for d in ("uvicorn", r"fastapi\[(?:standard|all)"))
        caution = "uvicorn is not among the dependencies: add it" if missing else ""
        return Entry(words=words, what=what, port=port, caution=caution)
    folder = ("--chdir", "src") if folder else ()
    if _depends(tree, "gunicorn"):
        words = ("gunicorn", *folder, "--bind", f"0.0.0.0:{port}", place)
        return Entry(words=words, what=f"{what}, served by gunicorn", port=port)
    app = f"src/{module.replace('.', '/')}:{name}" if folder else place
    words = ("flask", "--app", app, "run", "--host", "0.0.0.0", "--port", str(port))
    caution = "Flask's own server is for development: add gunicorn to the dependencies"
    return Entry(words=words, what=what, port=port, caution=caution)


def _depends(tree: Tree, name: str) -> bool:
    texts = (tree.text(file) for file in ("requirements.txt", "pyproject.toml", "Pipfile"))
    return any(re.search(rf"(?m)(?:^|[\"'\s]){name}", text) for text in texts)
