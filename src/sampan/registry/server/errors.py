"""The specification's error codes, as exceptions with their HTTP status."""

from __future__ import annotations

from sampan.kit import errors


class RegistryError(errors.SampanError):
    """`code` is the specification's (section "Error Codes"), `detail` whatever helps."""

    def __init__(self, status: int, code: str, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.status, self.code, self.detail = status, code, detail

    def document(self) -> dict[str, object]:
        entry = {"code": self.code, "message": str(self)}
        return {"errors": [entry if self.detail is None else {**entry, "detail": self.detail}]}


def blob_unknown(digest: str) -> RegistryError:
    return RegistryError(404, "BLOB_UNKNOWN", f"this repository has no blob {digest}")


def manifest_unknown(reference: str) -> RegistryError:
    return RegistryError(404, "MANIFEST_UNKNOWN", f"this repository has no manifest {reference}")


def manifest_invalid(why: str) -> RegistryError:
    return RegistryError(400, "MANIFEST_INVALID", why)


def name_unknown(name: str) -> RegistryError:
    return RegistryError(404, "NAME_UNKNOWN", f"there is no repository {name}")


def name_invalid(name: str) -> RegistryError:
    return RegistryError(400, "NAME_INVALID", f"{name!r:.300} is no name of a repository")


def digest_invalid(text: str, why: str = "is no digest this registry knows") -> RegistryError:
    return RegistryError(400, "DIGEST_INVALID", f"{text!r:.200} {why}")


def upload_unknown(upload: str) -> RegistryError:
    return RegistryError(404, "BLOB_UPLOAD_UNKNOWN", f"there is no upload {upload}")


def upload_invalid(why: str, status: int = 416) -> RegistryError:
    return RegistryError(status, "BLOB_UPLOAD_INVALID", why)


def unsupported(what: str, status: int = 405) -> RegistryError:
    return RegistryError(status, "UNSUPPORTED", what)
