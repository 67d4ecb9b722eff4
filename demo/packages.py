"""What can be learnt about one installed package from its files. Plain functions: nothing durable in here."""

from __future__ import annotations

import ast
import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution, distributions
from pathlib import Path

MAX_SOURCE = 2_000_000
"""Bytes of source of one package that are parsed; giants are counted in part, so that the demo ends in time."""

_COPYLEFT = ("gpl", "mpl", "mozilla", "eupl", "epl", "cddl", "sleepycat", "cecill", "ms-rl", "osl-", "eclipse public")


@dataclass(frozen=True)
class Package:
    """One package; each branch of the flow fills in its part."""

    name: str
    version: str = ""
    licence: str = ""
    family: str = ""
    files: int = 0
    size: int = 0
    altered: list[str] = field(default_factory=list)
    modules: int = 0
    imports: dict[str, int] = field(default_factory=dict)


def installed() -> list[str]:
    """Return the names of the installed packages, each once, in order."""
    names = {found.metadata["Name"] for found in distributions() if found.metadata["Name"]}
    return sorted(names, key=str.casefold)


def with_metadata(package: Package) -> Package:
    """Fill in version and licence."""
    found = _distribution(package.name)
    if found is None:
        return package
    licence = _licence(found)
    return replace(package, version=found.version, licence=licence, family=family_of(licence))


def with_files(package: Package) -> Package:
    """Fill in number and size of the files, and those that differ from the hash noted when they were installed."""
    count, size, altered = 0, 0, []
    for path in _files(package.name):
        try:
            with Path(path.locate()).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
                size += file.tell()
        except OSError:
            continue  # a cache file that is gone by now
        count += 1
        noted = path.hash
        if noted is not None and noted.mode == "sha256" and noted.value != _text(digest.digest()):
            altered.append(str(path))
    return replace(package, files=count, size=size, altered=altered)


def with_imports(package: Package) -> Package:
    """Fill in how often the package's sources import what."""
    modules, read, counts = 0, 0, Counter[str]()
    for path in _files(package.name):
        if path.suffix != ".py" or read > MAX_SOURCE:
            continue
        try:
            source = Path(path.locate()).read_bytes()
            tree = ast.parse(source)
        except (OSError, SyntaxError, ValueError):
            continue  # gone, or a template that only looks like Python
        modules, read = modules + 1, read + len(source)
        counts.update(_imported(tree))
    return replace(package, modules=modules, imports=dict(counts.most_common()))


def merged(metadata: Package, files: Package, imports: Package) -> Package:
    """Return one package from its three views."""
    return replace(
        metadata,
        files=files.files, size=files.size, altered=files.altered, modules=imports.modules, imports=imports.imports,
    )  # fmt: skip


def family_of(licence: str) -> str:
    """Return what kind of licence it is, by its name.

    >>> [family_of(text) for text in ("MIT", "MPL-2.0", "GPL-2.0 OR MIT", "")]
    ['permissive', 'copyleft', 'permissive', 'unknown']
    """
    choices = licence.casefold().split(" or ")
    if not licence:
        return "unknown"
    return "copyleft" if all(any(word in choice for word in _COPYLEFT) for choice in choices) else "permissive"


def _licence(found: Distribution) -> str:
    if given := _field(found, "License-Expression"):
        return given
    classifiers = [text.split(" :: ") for text in found.metadata.get_all("Classifier") or []]
    named = [parts[-1] for parts in classifiers if parts[0] == "License" and len(parts) > 2]
    if named:
        return " OR ".join(dict.fromkeys(text.replace(" License", "") for text in named))
    # Some put the whole text into this field; its first line is the name.
    return _field(found, "License").strip().partition("\n")[0][:60]


def _field(found: Distribution, name: str) -> str:
    return str(found.metadata[name]) if name in found.metadata else ""


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _files(name: str) -> list[PackagePath]:
    found = _distribution(name)
    return [] if found is None else found.files or []


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None  # uninstalled meanwhile


def _text(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
