"""A static site: files behind nginx."""

from __future__ import annotations

from sampan.cli.starting.recipe import Recipe, listening, stage, start, step
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.starting.recipe import Step, Wishes
    from sampan.cli.starting.tree import Tree

PLACES = ("index.html", "public/index.html", "site/index.html", "dist/index.html")
MARKS = PLACES
PORT = 8080


def recipe(tree: Tree, wishes: Wishes) -> Recipe:
    found = tree.first(*PLACES)
    if not found:
        raise errors.InvalidArgument(f"{tree.directory}: no page ({', '.join(PLACES)})")
    if wishes.command or wishes.port not in (0, PORT):
        raise errors.InvalidArgument(
            f"a static site is served by nginx on port {PORT}: --command and --port do not apply"
        )
    folder = found.removesuffix("index.html")
    steps = served("COPY --link", f"{folder or '.'}")
    return Recipe(kind="static", seen=found, steps=tuple(steps), port=PORT)


def served(copy: str, what: str) -> list[Step]:
    return [
        stage("nginxinc/nginx-unprivileged:1-alpine", "", "nginx by its own makers, prepared to"
              " run without root; small, of a fixed major version."),
        step("The files are root's: who breaks into the server cannot change them.",
             " ".join(filter(None, (copy, what, "/usr/share/nginx/html/")))),
        step("nginx's user, by number, so that Kubernetes' runAsNonRoot can see it.", "USER 101"),
        listening(PORT),
        step("Healthy as long as the first page comes.",
             "HEALTHCHECK --interval=30s --timeout=5s --retries=3 \\",
             f'    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:{PORT}/"]'),
        start(("nginx", "-g", "daemon off;")),
    ]  # fmt: skip
