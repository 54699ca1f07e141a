"""end-8 and end-12: tags and referrers of a repository; and Docker's catalog of repositories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.registry.server import answers, digests, errors

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.registry.server.index import Index

_INDEX = "application/vnd.oci.image.index.v1+json"


class Lists:
    def __init__(self, index: Index) -> None:
        self._index = index

    def catalog(self, request: web.BaseRequest) -> web.Response:
        """Docker's own: all repositories."""
        count, last = answers.page(request)
        found = self._index.repositories(count, last)
        return answers.listed({"repositories": found}, "/v2/_catalog", found, count)

    async def tags(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
        """end-8a, end-8b."""
        count, last = answers.page(request)
        found = self._index.tags(repository, count, last)
        if not found and not self._index.exists(repository):
            raise errors.name_unknown(repository)
        path = f"/v2/{repository}/tags/list"
        return answers.listed({"name": repository, "tags": found}, path, found, count)

    async def referrers(
        self, request: web.BaseRequest, repository: str, subject: str
    ) -> web.StreamResponse:
        """end-12a, end-12b."""
        wanted = request.query.get("artifactType")
        found = []
        rows = self._index.referrers(repository, digests.check(subject))
        for digest, media_type, size, kind, notes in rows:
            if wanted and kind != wanted:
                continue
            entry: dict[str, Any] = {"mediaType": media_type, "size": size, "digest": digest}
            if kind:
                entry["artifactType"] = kind
            if notes:
                entry["annotations"] = json.loads(notes)
            found.append(entry)
        document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        headers = {"Content-Type": _INDEX}
        if wanted:
            headers["OCI-Filters-Applied"] = "artifactType"
        return answers.answered(200, json.dumps(document).encode(), headers)
