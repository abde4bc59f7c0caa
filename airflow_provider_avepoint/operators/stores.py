"""A file in any store that Airflow reaches, whole under its name or absent.

It takes its name when it is complete; what stood there before stays until then. How depends on the store:

- An object store shows an upload when it is complete, so an upload that fails is abandoned. (Elsewhere fsspec
  would move by copy and delete: for Azure nobody waits for that copy.)
- Anywhere else the file is written beside, under a temporary name, and renamed.
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

__all__ = ["find_file", "replace"]

log = logging.getLogger(__name__)

# fsspec's names of the stores whose files appear when their upload is completed: s3fs, gcsfs, adlfs.
_OBJECT_STORES = frozenset({"s3", "gs", "abfs"})


def find_file(path: object) -> ObjectStoragePath:
    """Return where a file is to be written: a path, or a URL that ``ObjectStoragePath`` takes.

    :raises AvePointConfigError: nothing can be written there.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec.implementations.local import LocalFileSystem

    if not isinstance(path, (str, os.PathLike, ObjectStoragePath)):
        raise refuse("path", path, "is not the URL of a file.")
    if isinstance(path, str) and is_rendered_none(path):
        raise refuse("path", path, "names no file.")
    try:
        place = path if isinstance(path, ObjectStoragePath) else ObjectStoragePath(_anchor(os.fspath(path)))
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
    # Anywhere else a file may stand beside a directory of its name.
    if isinstance(store, LocalFileSystem) and store.isdir(place.path):
        raise AvePointConfigError(f"path: {path} is a directory.")
    return place


def _anchor(path: str) -> str:
    """Return *path* from the root on: what is relative begins there for Airflow before 3.2."""
    return os.path.abspath(path) if path and "://" not in path else path  # noqa: PTH100  # no link is followed


@contextmanager
def replace(place: ObjectStoragePath) -> Iterator[IO[bytes]]:
    """Return a file that takes its place when the block ends well, and leaves nothing otherwise."""
    store = place.fs
    protocols = {store.protocol} if isinstance(store.protocol, str) else set(store.protocol)
    write = _replace_by_upload if protocols & _OBJECT_STORES else _replace_by_rename
    with write(store, store._strip_protocol(place.path)) as file:  # noqa: SLF001  # how fsspec's own calls begin
        yield file


@contextmanager
def _replace_by_upload(store: AbstractFileSystem, path: str) -> Iterator[IO[bytes]]:
    file = store.open(path, "wb")
    try:
        yield file
        file.close()
    except BaseException:
        # Closing a file completes its upload, and the garbage collector would close it; one that says that it
        # is closed only lets go of what it holds.
        file.closed = True
        file.discard()
        file.close()
        raise


@contextmanager
def _replace_by_rename(store: AbstractFileSystem, path: str) -> Iterator[IO[bytes]]:
    directory = path.rpartition("/")[0]
    # Readers of whole directories pass over names that begin with a dot.
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
        return store.open(path, "wb")  # type: ignore[no-any-return]  # likewise


def _rename(store: AbstractFileSystem, source: str, target: str) -> None:
    from fsspec import AbstractFileSystem
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(store, LocalFileSystem):
        os.replace(source, target)  # noqa: PTH105  # fsspec moves by shutil, which copies where a rename fails
    elif type(store).mv is not AbstractFileSystem.mv:
        store.mv(source, target)
    else:  # fsspec's own copies into *target* where that is a directory as well
        store.cp_file(source, target)
        store.rm_file(source)


def _remove(store: AbstractFileSystem, path: str) -> None:
    try:
        store.rm_file(path)
    except OSError as e:  # the reason of the failure is the news, not this
        log.warning("The temporary file %s could not be removed (%s); remove it.", path, e)
