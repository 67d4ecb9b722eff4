"""Saved views: filters that somebody gave a name, for everybody.

Rules of this file: each change is one transaction with its audit line; what changes nothing leaves none.
"""

from __future__ import annotations

from typing import Any

from sayiir.errors import FilterError
from sayiir.service.lists import Lists
from sayiir.service.model import Access, SavedView
from sayiir.store.observe_port import SavedQuery

_TARGET = "*"
"""What the lines are about is no instance."""


class Saved(Lists):
    """The part of `Service` that keeps filters."""

    def views(self, access: Access) -> tuple[SavedView, ...]:
        """Return the saved filters by name."""
        self._allow(access, "views")
        return tuple(SavedView(view.name, view.where, view.user) for view in self.store.views())

    def save_view(self, access: Access, name: str, where: str, *, replaces: str | None = None) -> None:
        """Keep a filter under a name, for everybody.

        Args:
            access: who asks.
            name: 1 to 100 printable characters; a view that has it is changed.
            where: the filter.
            replaces: the name of a view that this one is from now on: it is renamed.

        Raises:
            FilterError: the name or the filter cannot be read, or there is no view to rename, or the new name is taken.
        """
        self._allow(access, "save_view")
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise FilterError("the name of a view has 1 to 100 printable characters")
        self._query(where)
        renamed = replaces not in (None, name)
        view = SavedQuery(name, where, access.user)

        def save(rows: Any) -> bool:
            there = {one.name: one for one in rows.views()}
            if renamed and replaces not in there:
                raise FilterError(f"there is no view {replaces!r} to rename; it may have been renamed or dropped meanwhile")
            if renamed and name in there:
                raise FilterError(f"there is a view {name!r} already; drop it first, or take another name")
            if name in there and there[name].where == where:
                return False
            rows.save_view(view)
            return not renamed or bool(rows.drop_view(replaces))

        details = {"view": name, "where": where, "was": replaces if renamed else None}
        entry = self._entry(access, "rename_view" if renamed else "save_view", _TARGET, None, details)
        self.store.audited(save, entry, when=bool)

    def drop_view(self, access: Access, name: str) -> None:
        """Forget a saved filter; nothing happens when there is none."""
        self._allow(access, "drop_view")
        entry = self._entry(access, "drop_view", _TARGET, None, {"view": name})
        self.store.audited(lambda rows: bool(rows.drop_view(name)), entry, when=bool)
