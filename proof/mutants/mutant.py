"""One fault: a text of the source and what it is replaced by, and the tests that must notice it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMORY = "tests/conformance/test_stores.py::TestMemory"
SQLITE = "tests/conformance/test_stores.py::TestSqliteInMemory"
SQLITE_FILE = "tests/conformance/test_stores.py::TestSqliteFile"
POSTGRES = "tests/conformance/test_postgres.py::TestPostgres"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault in one file.

    Args:
        name: what is wrong, in a few words.
        file: under `src/sayiir`.
        old: a text that occurs there exactly once.
        new: what stands there instead.
        tests: what must fail, as pytest takes it.
        only: the names of the tests that are run of these, as pytest's `-k` takes them; all when empty.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    only: str = ""

    def path(self, root: Path = ROOT) -> Path:
        """Return the file in a copy of the project."""
        return root / "src" / "sayiir" / self.file

    def occurrences(self) -> int:
        """Return how often the old text occurs; once, unless the source has changed."""
        return self.path().read_text("utf-8").count(self.old)

    @contextmanager
    def made(self, root: Path) -> Generator[None]:
        """Make the fault in a copy of the project, and take it out again."""
        text = self.path(root).read_text("utf-8")
        assert text.count(self.old) == 1, f"{self.name}: the source has changed, so must the mutant"
        self.path(root).write_text(text.replace(self.old, self.new), "utf-8")
        try:
            yield
        finally:
            self.path(root).write_text(text, "utf-8")
