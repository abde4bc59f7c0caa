"""Write a file to any store that Airflow reaches: under its name the file is complete or absent.

The file gets its name when it is complete; an older file of this name stays until then. The way depends on
the store:

- An object store shows an upload only when the upload is complete, so a failed upload is abandoned. (fsspec
  would rename by copy and delete; for Azure nobody waits for the end of that copy.)
- In any other store the file is written beside its place, under a temporary name, and then renamed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.refusals import is_rendered_none, refuse

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

__all__ = ["check_path", "find_file", "replace"]

log = logging.getLogger(__name__)

# fsspec's protocol names of the object stores: s3fs, gcsfs, adlfs.
_OBJECT_STORES = frozenset({"s3", "gs", "abfs"})


def find_file(path: object) -> ObjectStoragePath:
    """Return the place of a file that is to be written.

    :param path: a path, or a URL that ``ObjectStoragePath`` takes.
    :raises AvePointConfigError: the path is no file name, or its store cannot be reached.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec.implementations.local import LocalFileSystem

    if not isinstance(path, ObjectStoragePath):
        path = check_path("path", path)
    try:
        place = path if isinstance(path, ObjectStoragePath) else ObjectStoragePath(_anchor(path))
        store = place.fs
    except AirflowNotFoundException as e:
        raise AvePointConfigError(f"path: {path}: {e}.") from None
    except (ValueError, ImportError) as e:
        raise AvePointConfigError(
            f"path: Airflow cannot reach the store of {path} ({e}); install its provider with its file "
            "system, such as apache-airflow-providers-amazon[s3fs]."
        ) from None
    if not place.name or str(path).endswith("/"):
        raise AvePointConfigError(f"path: {str(path)!r} names no file.")
    # In other stores a file and a directory can have the same name.
    if isinstance(store, LocalFileSystem) and store.isdir(place.path):
        raise AvePointConfigError(f"path: {path} is a directory.")
    return place


def check_path(name: str, path: object) -> str:
    """Return a path as text; no store is asked.

    :param name: the argument's name.
    :param path: a path, or a URL that ``ObjectStoragePath`` takes.
    :raises AvePointConfigError: this is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise refuse(name, path, "is not the URL of a file.")
    if isinstance(path, str) and is_rendered_none(path):
        raise refuse(name, path, "names no file.")
    return os.fspath(path)


def _anchor(path: str) -> str:
    """Return *path* as an absolute path: Airflow before 3.2 takes a relative path as one from the root."""
    return os.path.abspath(path) if path and "://" not in path else path  # noqa: PTH100  # Path.resolve would follow links


@contextmanager
def replace(place: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """Yield a binary file that becomes *place* if the block ends without an error, and vanishes otherwise.

    :param place: the file's path or URL, from :func:`find_file`.
    """
    store = place.fs
    protocols = {store.protocol} if isinstance(store.protocol, str) else set(store.protocol)
    write = _replace_by_upload if protocols & _OBJECT_STORES else _replace_by_rename
    with write(store, store._strip_protocol(place.path)) as file:  # noqa: SLF001  # fsspec's public methods do the same
        yield file


@contextmanager
def _replace_by_upload(store: AbstractFileSystem, path: str) -> Iterator[IO[bytes]]:
    file = store.open(path, "wb")
    try:
        yield file
        file.close()
    except BaseException:
        # Closing the file would complete its upload, and the garbage collector would close it later. A file
        # that is marked as closed only frees its buffers.
        file.closed = True
        file.discard()
        file.close()
        raise


@contextmanager
def _replace_by_rename(store: AbstractFileSystem, path: str) -> Iterator[IO[bytes]]:
    directory = path.rpartition("/")[0]
    # Programs that read whole directories skip names that begin with a dot.
    temporary = f"{directory}/.avepoint-{uuid4().hex}.tmp"
    file = _create(store, temporary, directory)
    try:
        with file:
            yield file
        _rename(store, temporary, path)
    except BaseException:
        _remove(store, temporary)
        raise


def _create(store: AbstractFileSystem, path: str, directory: str) -> IO[bytes]:
    try:
        return store.open(path, "wb")  # type: ignore[no-any-return]  # fsspec has no types
    except FileNotFoundError:
        store.makedirs(directory, exist_ok=True)
        return store.open(path, "wb")  # type: ignore[no-any-return]  # fsspec has no types


def _rename(store: AbstractFileSystem, source: str, target: str) -> None:
    from fsspec import AbstractFileSystem
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(store, LocalFileSystem):
        os.replace(source, target)  # noqa: PTH105  # fsspec uses shutil, which copies if a rename fails
    elif type(store).mv is not AbstractFileSystem.mv:
        store.mv(source, target)
    else:  # fsspec's own mv would copy into *target* if a directory has the same name
        store.cp_file(source, target)
        store.rm_file(source)


def _remove(store: AbstractFileSystem, path: str) -> None:
    try:
        store.rm_file(path)
    except OSError as e:  # a warning only: the caller raises the error that made the write fail
        log.warning("The temporary file %s could not be removed (%s); remove it.", path, e)
