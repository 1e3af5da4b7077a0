"""Names for things a user picks by name: orders, models, data sets, transforms."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no `kind`, with near matches and the whole list."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"{kind} must be one of {', '.join(known)}, got {name!r}.{hint}"


class Registry(Generic[T]):
    """Map from a name to one object, filled by a decorator and read like a dictionary.

    Args:
        kind: What the entries are, in words, for messages ("order", "model").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, *names: str) -> Callable[[T], T]:
        """Return a decorator that stores its argument under every one of `names`.

        Raises:
            ValueError: A name is taken; both modules are named.
        """

        def decorate(entry: T) -> T:
            for name in names:
                self._add(name, entry)
            return entry

        return decorate

    def _add(self, name: str, entry: T) -> None:
        if name in self._entries:
            modules = [getattr(e, "__module__", "?") for e in (self._entries[name], entry)]
            raise ValueError(
                f"{self.kind} {name!r} must be registered once, got it from "
                f"{modules[0]} and {modules[1]}"
            )
        self._entries[name] = entry

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise ValueError(unknown_name(self.kind, name, self._entries))
        return self._entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
