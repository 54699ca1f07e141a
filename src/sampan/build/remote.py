"""What ADD and a build's context may name from afar: files behind http, and git repositories.

A repository is `https://host/x.git[#[REF][:DIRECTORY]]`, `git@host:x.git`, `git://…`, `ssh://…`, or
any of them with `?ref=…&subdir=…`. The git program does the work, with nothing but its arguments:
no prompt, no helper, no protocol that reads this machine's files.
"""

from __future__ import annotations

import email.utils
import os
import posixpath
import re
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from sampan.build import files
from sampan.build.instructions import csv
from sampan.build.stack import Stack
from sampan.image import tar
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.build.files import Files

_AT_HOST = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:(?!//)")
_UNNAMED = "__unnamed__"  # BuildKit's word for a file whose address names none
_TIMEOUT = 60  # seconds without a byte
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


class Repository(Record):
    url: str
    ref: str = ""
    directory: str = ""
    commit: str = ""  # the one it has to be, or its beginning
    keep: bool = False  # with its .git
    submodules: bool = True


class CannotFetch(errors.Unavailable):
    def __init__(self, url: str, why: object) -> None:
        super().__init__(f"{url}: {why}")


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def is_git(text: str) -> bool:
    if text.startswith(("git://", "ssh://")) or _AT_HOST.match(text):
        return True
    path = urllib.parse.urlsplit(text).path if is_url(text) else ""
    return path.endswith(".git")


def repository(text: str) -> Repository:
    head, _, fragment = text.partition("#")
    url, _, query = head.partition("?")
    ref, _, directory = fragment.partition(":")
    commit = ""
    flags = {"keep-git-dir": False, "submodules": True}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key in ("ref", "branch", "tag"):
            ref = (
                value if key == "ref" else f"refs/{'heads' if key == 'branch' else 'tags'}/{value}"
            )
        elif key == "subdir":
            directory = value
        elif key in ("commit", "checksum"):
            commit = value
        elif key in flags:
            flags[key] = csv.boolean(key, value) if value else True
        else:
            raise errors.InvalidArgument(f"{text}: unexpected {key} in the address of a repository")
    if ref.startswith("-") or url.startswith("-"):
        raise errors.InvalidArgument(f"{text}: a git ref or address cannot begin with -")
    return Repository(
        url=url,
        ref=ref,
        directory=files.clean(directory),
        commit=commit,
        keep=flags["keep-git-dir"],
        submodules=flags["submodules"],
    )


def fetch(url: str, scratch: str) -> files.Single:
    """One file, mode 0600, its time the server's Last-Modified."""
    request = urllib.request.Request(url, headers={"User-Agent": "sampan"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            name = _file_name(url, answer.headers.get_filename() or "")
            fd, path = tempfile.mkstemp(dir=scratch)
            with open(fd, "wb") as file:
                while part := answer.read(files.CHUNK):
                    file.write(part)
            modified = answer.headers.get("Last-Modified", "")
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise CannotFetch(url, getattr(error, "reason", None) or error) from error
    entry = tar.Entry(name, mode=0o600, size=os.path.getsize(path))
    entry.mtime = _seconds(modified) * 10**9
    return files.Single(entry, path)


def _file_name(url: str, told: str) -> str:
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    name = posixpath.basename(told) or posixpath.basename(path)
    return _UNNAMED if name in ("", ".", "..") else name


def _seconds(date: str) -> int:
    try:
        return int(email.utils.parsedate_to_datetime(date).timestamp())
    except (TypeError, ValueError):
        return 0


def clone(
    text: str,
    scratch: str,
    *,
    keep_git_dir: bool = False,
    commit: str = "",
    note: Callable[[str, str], object] = lambda address, digest: None,
) -> Files:
    """The files of a repository at its ref (HEAD if none is named), times those of the commit.
    `note` is told the address and `sha1:` or `sha256:` of the commit."""
    wanted = repository(text)
    place = _fetched(wanted, scratch)
    _git(place, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    if wanted.submodules:
        _git(place, "submodule", "update", "--init", "--recursive", "--quiet")
    found = _git(place, "rev-parse", "HEAD")
    note(text, f"{'sha1' if len(found) == 40 else 'sha256'}:{found}")
    expected = commit.removeprefix("sha1:") or wanted.commit
    if expected and not found.startswith(expected):
        raise errors.InvalidArgument(f"{text}: its commit is {found}, not {expected}")
    moment = int(_git(place, "log", "-1", "--format=%ct"))
    tree: Files = _Checkout(place, moment, keep_git_dir=keep_git_dir or wanted.keep)
    if not wanted.directory:
        return tree
    inside = files.resolve(tree, wanted.directory)
    entry = tree.entry(inside)
    if entry is None or entry.kind != tar.DIRECTORY:
        raise errors.InvalidArgument(f"{text}: it has no directory {wanted.directory}")
    return files.Subtree(tree, inside)


def _fetched(wanted: Repository, scratch: str) -> str:
    """A directory with the repository in it. Its hashes are of one kind, and so must the copy's
    be, which nobody tells before: the usual one first."""
    refused: errors.Unavailable | None = None
    for kind in ("sha1", "sha256"):
        place = tempfile.mkdtemp(dir=scratch)
        _git(place, "init", "--quiet", "--initial-branch=main", f"--object-format={kind}")
        _git(place, "remote", "add", "origin", wanted.url)
        try:
            _fetch(place, wanted)
        except errors.Unavailable as error:
            refused = refused or error
        else:
            return place
    assert refused is not None
    raise refused


def _fetch(place: str, wanted: Repository) -> None:
    """As little of the history as the server gives; plain web servers give all or nothing."""
    ref = wanted.ref or "HEAD"
    try:
        _git(place, "fetch", "--quiet", "--depth=1", "origin", ref)
    except errors.Unavailable:
        if _COMMIT.match(ref):
            _git(place, "fetch", "--quiet", "origin", "+refs/*:refs/remotes/origin/*")
            _git(place, "update-ref", "FETCH_HEAD", ref)
        else:
            _git(place, "fetch", "--quiet", "origin", ref)


def _git(place: str, *args: str) -> str:
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", *args],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            umask=0o022,
            check=False,
        )
    except FileNotFoundError:
        raise errors.Unsupported(
            "git repositories need the program git, which is not here"
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise CannotFetch(f"git {args[0]}", lines[-1])
    return done.stdout.strip()


class _Checkout(Stack):
    def __init__(self, place: str, moment: int, *, keep_git_dir: bool) -> None:
        super().__init__([place])
        self._moment, self._keep = moment * 10**9, keep_git_dir

    def entry(self, path: str) -> tar.Entry | None:
        if not self._keep and ".git" in path.split("/"):
            return None
        found = super().entry(path)
        if found is not None:
            found.mtime, found.uid, found.gid = self._moment, 0, 0
        return found

    def children(self, path: str) -> list[str]:
        names = super().children(path)
        return names if self._keep else [name for name in names if name != ".git"]
