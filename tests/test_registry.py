"""Names: found, refused with near matches, never taken twice."""

from __future__ import annotations

import pytest

from pcmamba.registry import Registry, unknown_name


def test_registered_names_are_sorted_and_found() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("two", "deux")(2)
    registry.register("one")(1)
    assert list(registry) == ["deux", "one", "two"]
    assert registry["deux"] == 2
    assert "three" not in registry
    assert len(registry) == 3


def test_unknown_names_get_near_matches_and_the_list() -> None:
    message = unknown_name("order", "hilbrt", ["z", "hilbert"])
    assert message == "order must be one of hilbert, z, got 'hilbrt'. Did you mean 'hilbert'?"
    assert "Did you mean" not in unknown_name("order", "qqq", ["z", "hilbert"])


def test_a_name_is_taken_once() -> None:
    registry: Registry[type] = Registry("thing")
    registry.register("a")(int)
    with pytest.raises(ValueError, match="'a' must be registered once, got it from builtins and"):
        registry.register("a")(str)
