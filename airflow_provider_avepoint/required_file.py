"""Read what a tenant must have from a YAML file; an error names the file, the line and the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_avepoint.core.errors import AvePointConfigError
from airflow_provider_avepoint.core.requirements import Required, parse_required
from airflow_provider_avepoint.core.text import one_line

if TYPE_CHECKING:
    from yaml.nodes import MappingNode, Node

    from airflow_provider_avepoint.core.products.vocabulary import Product

__all__ = ["read_required"]

#: A larger file holds something else.
_LARGEST = 1_000_000
_NULL = "tag:yaml.org,2002:null"


def read_required(path: str, folder: Path, product: Product) -> Required:
    """Return what the file demands.

    Values are read as they are written: ``on`` and ``no`` are texts, and so is a date.

    :param path: the path of the file.
    :param folder: where a relative path begins.
    :param product: the product that is to be asked.
    :raises AvePointConfigError: the file cannot be read, or a part of the file cannot be used.
    """
    file = folder / Path(path).expanduser()
    try:
        if file.stat().st_size > _LARGEST:
            raise AvePointConfigError(f"required: {file} has more than {_LARGEST} bytes.")
        content = file.read_bytes()
    except OSError as e:
        raise AvePointConfigError(
            f"required: {file} cannot be read: {e.strerror or one_line(e)}. A relative path begins in "
            f"{folder}."
        ) from None
    return _Document(file, content).parse(product)


class _Document:
    """A file of one YAML document, with the line of each service and rule."""

    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        self._lines: dict[tuple[str, ...], int] = {}
        self._loader = _open(file, content)

    def parse(self, product: Product) -> Required:
        """Return what the document demands.

        :param product: the product that is to be asked.
        """
        from yaml import YAMLError

        try:
            node = self._loader.get_single_node()
            if node is None:
                raise AvePointConfigError(f"{self._file} is empty: it names no service.")
            value = self._read(node, ())
        except RecursionError:
            raise AvePointConfigError(f"{self._file} is nested too deeply.") from None
        except YAMLError as e:
            mark = getattr(e, "problem_mark", None)
            line = "" if mark is None else f", line {mark.line + 1}"
            raise AvePointConfigError(
                f"{self._file}{line}: this is no YAML: {one_line(getattr(e, 'problem', None) or e)}."
            ) from None
        finally:
            self._loader.dispose()
        return parse_required(value, product, self._write_path)

    def _write_path(self, *path: str) -> str:
        """Say where a service or a rule stands; what is not written stands where its service does."""
        line = self._lines.get(path) or self._lines.get(path[:1]) or 1
        where = f"{self._file}, line {line}"
        return f"{where}: {'.'.join(path)}" if path else where

    def _read(self, node: Node, path: tuple[str, ...]) -> Any:
        """Return the value of a node: objects to the depth of rules, and texts as they are written."""
        from yaml.nodes import MappingNode, ScalarNode

        if isinstance(node, MappingNode) and len(path) < 2:
            return self._read_mapping(node, path)
        if isinstance(node, ScalarNode):
            return None if node.tag == _NULL else node.value
        kind = "an object" if isinstance(node, MappingNode) else "a list"
        raise AvePointConfigError(f"{self._write_path(*path)} is {kind}, where {_name_level(path)}.")

    def _read_mapping(self, node: MappingNode, path: tuple[str, ...]) -> Mapping[str, Any]:
        own = self._list_keys(node, path)
        self._loader.flatten_mapping(node)  # "<<" brings the rules of another object, which come first
        read: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            self._lines[(*path, name)] = own.get(name, key.start_mark.line) + 1
            read[name] = self._read(value, (*path, name))
        return read

    def _list_keys(self, node: MappingNode, path: tuple[str, ...]) -> dict[str, int]:
        """Return the line of each key, counted from 0, and refuse a key that stands twice."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line
            name = str(key.value)
            if name in lines:
                where = ".".join((*path, name))
                raise AvePointConfigError(
                    f"{self._file}, line {line + 1}: {where} stands twice, first in line {lines[name] + 1}."
                )
            lines[name] = line
        return lines


def _name_level(path: tuple[str, ...]) -> str:
    return ("the services belong", "the rules of a service belong", "the value of a rule belongs")[len(path)]


def _open(file: Path, content: bytes) -> Any:
    from yaml import SafeLoader, YAMLError

    try:
        return SafeLoader(content)
    except YAMLError as e:
        raise AvePointConfigError(f"{file} is no text in UTF-8: {one_line(e)}.") from None
