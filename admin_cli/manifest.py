"""Manifests: files, folders and stdin as resources, and every problem with its file and line.

Reads all there is before it complains, so that one run shows every problem it can. Values come from
manifest_yaml, their meaning from headgate.rules.spec; what only the control plane can judge comes
back to `locate`, which finds the line again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from admin_cli.errors import CliError, ManifestError, NotFound, ServerProblem
from admin_cli.manifest_yaml import (
    Document,
    LineList,
    LineMap,
    PlainText,
    YamlProblem,
    read_documents,
    resolve,
)
from headgate.rules import spec
from headgate.rules.errors import Path as FieldPath
from headgate.rules.errors import SpecError, path_text
from headgate.rules.names import DEFAULT_TENANT, KINDS, did_you_mean, name_problem, plural
from headgate.v1 import resources_pb2

# One manifest of 10,000 keys is about 2 MB; what is larger is not a manifest.
MAX_FILE_BYTES = 16 * 2**20
MAX_FILES = 10_000
# More problems than a person mends in one go.
MAX_PROBLEMS = 50
SUFFIXES = (".yaml", ".yml", ".json")
# What `get` adds to a spec; `apply` leaves it alone.
READ_ONLY = ("state", "source", "revision", "updated_at")

_REFERENCE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|(\{))")
_PATH_PART = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class Declared:
    """One resource of a manifest, and where it stands."""

    kind: str
    tenant: str
    name: str
    resource: resources_pb2.Resource
    file: str
    # Where it begins in the words of its file: ("routes", 0).
    path: FieldPath
    line: int
    value: Any

    @property
    def id(self) -> tuple[str, str, str]:
        return self.kind, self.tenant, self.name

    def locate(self, path: FieldPath, message: str) -> str:
        """`file:line: routes[0].policy.fallback[1]: message` for a path inside this resource."""
        line = _line_of(self.value, path, self.line)
        if message.startswith("unknown field"):
            path = path[:-1]
        return f"{self.file}:{line}: {path_text((*self.path, *path))}: {message}"


@dataclass(frozen=True, slots=True)
class Manifest:
    declared: tuple[Declared, ...] = ()

    @property
    def resources(self) -> list[resources_pb2.Resource]:
        return [one.resource for one in self.declared]

    def locate(self, problem: ServerProblem) -> str:
        """The control plane's problem with the place in the file that it is about."""
        if 0 <= problem.index < len(self.declared):
            return self.declared[problem.index].locate(parse_path(problem.path), problem.message)
        return str(problem)


def load(sources: Sequence[str], tenant: str, environment: Mapping[str, str]) -> Manifest:
    """Reads files, folders (their YAML and JSON files, recursively) and `-` (stdin).

    `tenant` is filled in where a resource names none. Raises ManifestError with every problem found.
    """
    reader = _Reader(tenant, environment)
    for file, text in _texts(sources):
        reader.read(file, text)
    if reader.problems:
        count = len(reader.problems)
        shown = reader.problems[:MAX_PROBLEMS]
        more = f" (the first {MAX_PROBLEMS} are shown)" if count > MAX_PROBLEMS else ""
        noun = "problem" if count == 1 else "problems"
        raise ManifestError(f"{count} {noun} in the manifest{more}; nothing was changed", lines=shown)
    return Manifest(tuple(reader.declared))


def parse_path(text: str) -> FieldPath:
    """`policy.fallback[1]` as ("policy", "fallback", 1)."""
    return tuple(int(index) if index else word for index, word in _PATH_PART.findall(text))


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """`${NAME}` from the environment, `$$` as `$`. Raises ValueError for what is unset or malformed."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            if match.group(2):
                raise ValueError("'${' begins a reference like ${NAME}; a dollar sign itself is written $$")
            return "$"
        if name not in environment:
            raise ValueError(f"${{{name}}} is not set in the environment")
        return environment[name]

    return _REFERENCE.sub(value, text)


class _Reader:
    def __init__(self, tenant: str, environment: Mapping[str, str]) -> None:
        self._tenant = tenant
        self._environment = environment
        self._first: dict[tuple[str, str, str], Declared] = {}
        self.declared: list[Declared] = []
        self.problems: list[str] = []

    def read(self, file: str, text: str) -> None:
        try:
            for document in read_documents(text):
                self._document(file, document)
        except YamlProblem as problem:
            self.problems.append(f"{file}:{problem.line}: {problem.message}")

    def _document(self, file: str, document: Document) -> None:
        value = document.value
        if not isinstance(value, LineMap):
            self._problem(file, document.line, "", "expected a map of lists by kind, like 'routes:'")
        elif "api" in value:
            self._envelope(file, document, value)
        else:
            self._lists(file, value, literal=False)

    def _envelope(self, file: str, document: Document, value: LineMap) -> None:
        """What `get -o json` and `export -o json` print. It was written by a program: `$` is a dollar."""
        kind = str(value.get("kind", ""))
        items = value.get("items")
        if value["api"] != "headgate.v1":
            self._problem(file, value.lines["api"], "api", "expected headgate.v1")
        elif not isinstance(items, LineList):
            self._problem(file, document.line, "items", "expected a list")
        elif kind == "ManifestList":
            for item in items:
                if isinstance(item, LineMap):
                    self._lists(file, item, literal=True)
        elif kind.removesuffix("List").lower() in KINDS and kind.endswith("List"):
            self._resources(file, kind.removesuffix("List").lower(), "items", items, literal=True)
        else:
            self._problem(
                file, document.line, "kind", f"a {kind or 'document without kind'} holds no resources"
            )

    def _lists(self, file: str, value: LineMap, *, literal: bool) -> None:
        plurals = {plural(kind): kind for kind in KINDS}
        for word, items in value.items():
            line = value.lines[word]
            if word not in plurals:
                known = did_you_mean(word, plurals) or f"; known are {', '.join(plurals)}"
                self._problem(file, line, "", f"unknown kind {word!r}{known}")
            elif items is None:
                continue  # a heading whose entries are all commented out
            elif not isinstance(items, LineList):
                self._problem(file, line, word, "expected a list")
            else:
                self._resources(file, plurals[word], word, items, literal=literal)

    def _resources(self, file: str, kind: str, heading: str, items: LineList, *, literal: bool) -> None:
        for index, (item, line) in enumerate(zip(items, items.lines, strict=True)):
            path = (heading, index)
            if not isinstance(item, LineMap):
                self._problem(file, line, path_text(path), "expected a map with a name")
                continue
            if literal:
                value = _without(item, READ_ONLY)
            else:
                problems = list(_substitute_all(item, self._environment))
                for inner, message in problems:
                    where = path_text((*path, *inner))
                    self._problem(file, _line_of(item, inner, line), where, message)
                if problems:
                    continue
                value = _substituted(item, self._environment)
            self._one(file, kind, path, line, value)

    def _one(self, file: str, kind: str, path: FieldPath, line: int, value: LineMap) -> None:
        resource = resources_pb2.Resource()
        target = getattr(resource, kind)
        one = Declared(kind, "", "", resource, file, path, line, value)
        try:
            message = spec.parse(type(target), value)
        except SpecError as error:
            self.problems += [one.locate(p.path, p.message) for p in error.problems]
            return
        if wrong := name_problem(message.name):
            self.problems.append(one.locate(("name",), wrong))
            return
        has_tenant = "tenant" in message.DESCRIPTOR.fields_by_name
        if has_tenant and not message.tenant:
            message.tenant = self._tenant
        target.CopyFrom(message)
        target.SetInParent()
        tenant = message.tenant if has_tenant else ""
        one = Declared(kind, tenant, message.name, resource, file, path, line, value)
        first = self._first.setdefault(one.id, one)
        if first is not one:
            of = f" of tenant {tenant}" if has_tenant and tenant != DEFAULT_TENANT else ""
            where = f"{first.file}:{first.line}"
            self.problems.append(
                one.locate((), f"{kind} {one.name!r}{of} is declared twice (first at {where})")
            )
            return
        self.declared.append(one)

    def _problem(self, file: str, line: int, where: str, message: str) -> None:
        self.problems.append(f"{file}:{line}: {where}: {message}" if where else f"{file}:{line}: {message}")


def _without(item: LineMap, names: Iterable[str]) -> LineMap:
    kept = LineMap()
    for key in item:
        if key not in names:
            kept[key] = item[key]
            kept.lines[key] = item.lines[key]
    return kept


def _substitute_all(
    value: Any, environment: Mapping[str, str], path: FieldPath = ()
) -> Iterator[tuple[FieldPath, str]]:
    """Every reference that cannot be resolved."""
    if isinstance(value, LineMap):
        for key, item in value.items():
            yield from _substitute_all(item, environment, (*path, key))
    elif isinstance(value, LineList):
        for index, item in enumerate(value):
            yield from _substitute_all(item, environment, (*path, index))
    elif isinstance(value, str) and "$" in value:
        try:
            substitute(value, environment)
        except ValueError as error:
            yield path, str(error)


def _substituted(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, LineMap):
        result = LineMap()
        result.lines = value.lines
        for key, item in value.items():
            result[key] = _substituted(item, environment)
        return result
    if isinstance(value, LineList):
        items = LineList()
        items.lines = value.lines
        items.extend(_substituted(item, environment) for item in value)
        return items
    if isinstance(value, str) and "$" in value:
        text = substitute(value, environment)
        # `attempts: ${N}` is a number; `"${N}"` is text, and so is an empty variable.
        return resolve(text) if isinstance(value, PlainText) and text else text
    return value


def _line_of(value: Any, path: FieldPath, line: int) -> int:
    """The line of the deepest part of `path` that the file has."""
    for part in path:
        if isinstance(value, LineMap) and part in value:
            line, value = value.lines[str(part)], value[str(part)]
        elif isinstance(value, LineList) and isinstance(part, int) and part < len(value):
            line, value = value.lines[part], value[part]
        else:
            return line
    return line


def _texts(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    seen_stdin = False
    count = 0
    for source in sources:
        if source == "-":
            if not seen_stdin:
                yield "<stdin>", _decoded("<stdin>", sys.stdin.buffer.read(MAX_FILE_BYTES + 1))
            seen_stdin = True
            continue
        for path in _files(Path(source)):
            count += 1
            if count > MAX_FILES:
                raise CliError(f"more than {MAX_FILES:,} files", "name fewer files or a smaller folder")
            with path.open("rb") as file:
                yield str(path), _decoded(str(path), file.read(MAX_FILE_BYTES + 1))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            raise NotFound(
                f"{path}: there is no such file or folder", "-f names a file, a folder, or - for stdin"
            )
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not found:
        raise CliError(
            f"{path}: no manifest in this folder", f"files ending in {', '.join(SUFFIXES)} are read"
        )
    return found


def _decoded(name: str, content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise ManifestError(f"{name}: larger than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{name}:{line}: not UTF-8 text") from None
