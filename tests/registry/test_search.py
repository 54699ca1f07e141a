"""`search`: at a registry with Docker's old index, at one that only lists names, at neither."""

import pytest
from aiohttp import web

from sampan.kit import errors
from sampan.registry import hosts, search
from tests.registry import support
from tests.registry.server.conftest import Registry

RESULTS = {
    "results": [
        {"name": "team/web", "description": "a\nserver", "star_count": 7, "is_official": False},
        {"name": "web", "description": "", "star_count": 90, "is_official": True},
        {"name": "web2"},
    ]
}


class Server:
    """Answers by a table: path → document; keeps the paths asked for."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    async def __aenter__(self):
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        await (site := web.TCPSite(self._runner, "127.0.0.1", 0)).start()
        self.address = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _answer(self, request):
        self.asked.append(request.path_qs)
        found = self.answers.get(request.path)
        return web.json_response(found) if found else web.Response(status=404)


@support.in_loop
async def test_the_index_is_asked_where_there_is_one():
    async with Server({"/v1/search": RESULTS}) as server:
        found = await search.search(f"{server.address}/a b", 2, config=hosts.Config())
    assert server.asked == ["/v1/search?q=a%20b&n=2"]
    assert [(f.name, f.stars, f.official) for f in found] == [
        ("team/web", 7, False),
        ("web", 90, True),
    ]


@support.in_loop
async def test_a_registry_without_anything_to_search_says_so():
    async with Server({}) as server:
        with pytest.raises(errors.Unsupported, match="it has no search index, and does not list"):
            await search.search(f"{server.address}/web", 25, config=hosts.Config())


@support.in_loop
async def test_an_index_that_answers_nonsense_is_named():
    async with Server({"/v1/search": {"results": 7}}) as server:
        with pytest.raises(errors.InvalidArgument, match=f"{server.address}/v1/search"):
            await search.search(f"{server.address}/web", 25, config=hosts.Config())


@pytest.mark.parametrize(
    ("term", "place"),
    [
        ("web", ("docker.io", "web")),
        ("team/web", ("docker.io", "team/web")),
        ("localhost/web", ("localhost", "web")),
        ("docker.io/library/web", ("docker.io", "library/web")),
        ("r.example:5000/a/b", ("r.example:5000", "a/b")),
    ],
)
def test_a_term_says_where(term, place):
    assert search.split(term) == place


@pytest.mark.parametrize("term", ["https://r.example/web", "a:b:c/web"])
def test_what_is_no_place(term):
    with pytest.raises(errors.InvalidArgument):
        search.split(term)


def test_our_own_registry_is_searched_by_names(tmp_path):
    registry = Registry(tmp_path / "registry")
    try:
        for name in ("shop/web", "web", "other"):
            registry.push_manifest(name, "1", registry.image(name))

        @support.in_loop
        async def ask(term, limit, names):
            found = await search.search(f"{registry.address}/{term}", limit, config=hosts.Config())
            assert [item.name for item in found] == [f"{registry.address}/{n}" for n in names]

        ask("web", 25, ["shop/web", "web"])
        ask("web", 1, ["shop/web"])
        ask("none", 25, [])
    finally:
        registry.stop()
