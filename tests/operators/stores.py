"""Stores that files are written to in tests: a disk, one that renames, one that copies, one that uploads."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from tests.versions import object_stores

if TYPE_CHECKING:
    import pytest

PART = 1024


class Disk:
    """A directory, by its path or as a ``file://`` URL."""

    def __init__(self, directory: Path, prefix: str = "") -> None:
        self.directory = directory
        self.prefix = prefix

    def url(self, name: str) -> str:
        return f"{self.prefix}{self.directory / name}"

    def read(self, name: str) -> bytes:
        return (self.directory / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        (self.directory / name).write_bytes(content)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())


class Copying(MemoryFileSystem):
    """A store that cannot rename: fsspec copies and deletes."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.store, self.pseudo_dirs = {}, [""]  # fsspec's own are shared by all
        self.fails: dict[str, OSError] = {}

    def url(self, name: str) -> str:
        return f"memory://backups/{name}"

    def read(self, name: str) -> bytes:
        return self.cat_file(f"/backups/{name}")

    def write(self, name: str, content: bytes) -> None:
        self.pipe_file(f"/backups/{name}", content)

    def names(self) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.store)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        file = super()._open(path, mode, **kwargs)
        if mode == "wb" and (error := self.fails.get("write")):
            file.write = _fail(error)
        return file

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        self._check("copy")
        super().cp_file(path1, path2, **kwargs)

    def rm_file(self, path: str) -> None:
        self._check("remove")
        super().rm_file(path)

    def _check(self, call: str) -> None:
        if error := self.fails.get(call):
            raise error


class Renaming(Copying):
    """A store that renames at once, as SFTP does, and cannot copy."""

    def mv(self, path1: str, path2: str, **_: Any) -> None:
        self._check("rename")
        self.store[path2] = self.store.pop(path1)

    def cp_file(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError


class Uploading(AbstractFileSystem):
    """An object store: an upload appears when it is completed, in parts of ``PART`` bytes."""

    protocol = ("s3", "s3a")
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.fails: dict[str, OSError] = {}
        self.parts = 0
        # Uploads that are neither completed nor discarded.
        self.pending = 0

    def url(self, name: str) -> str:
        return f"s3://store@backups/{name}"

    def read(self, name: str) -> bytes:
        return self.objects[f"backups/{name}"]

    def write(self, name: str, content: bytes) -> None:
        self.objects[f"backups/{name}"] = content

    def names(self) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.objects)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Upload:
        return Upload(self, path, mode, **kwargs | {"block_size": PART})


class Upload(AbstractBufferedFile):
    """A file of an object store, as fsspec's clients of S3, Google and Azure have it."""

    received: io.BytesIO | None = None

    def _initiate_upload(self) -> None:
        self.received = io.BytesIO()
        self.fs.pending += 1

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002  # fsspec's own signature
        if error := self.fs.fails.get("write"):
            raise error
        self.received.write(self.buffer.getvalue())
        self.fs.parts += 1
        if final:
            self.fs.objects[self.path] = self.received.getvalue()
            self.fs.pending -= 1
        return True

    def discard(self) -> None:
        if self.received is not None:
            self.fs.pending -= 1
            self.received = None


def _fail(error: OSError) -> Callable[..., None]:
    def write(*_: Any) -> None:
        raise error

    return write


def attach_store(monkeypatch: pytest.MonkeyPatch, store: Any) -> Any:
    """Make *store* known to Airflow by the URLs that it has, while *monkeypatch* lasts; return it."""
    protocol, _, rest = store.url("").partition("://")
    conn_id = rest.rpartition("@")[0] or None
    alias = f"{protocol}-{conn_id}" if conn_id else protocol
    known = object_stores.ObjectStore(protocol, conn_id, fs=store)
    monkeypatch.setitem(object_stores._STORE_CACHE, alias, known)
    return store


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
