"""Records: facts that are equal by what they say, and are copied to be changed."""

from dataclasses import field, replace

import pytest

from accounts.records import record


@record()
class Amount:
    pico: int
    parts: tuple[int, ...] = field(default_factory=tuple)


@record(kw_only=True)
class Named:
    name: str


def test_equal_facts_are_equal_and_are_found_again() -> None:
    assert Amount(1) == Amount(1, ())
    assert Amount(1) != Amount(2)
    assert {Amount(1): "here"}[Amount(1)] == "here"


def test_a_copy_changes_and_the_first_stays() -> None:
    first = Amount(1)
    assert (replace(first, pico=2).pico, first.pico) == (2, 1)


def test_a_record_has_the_fields_that_are_written_down_and_no_others() -> None:
    with pytest.raises(AttributeError):
        Amount(1).pica = 2  # type: ignore[attr-defined]


def test_where_names_are_needed_a_place_in_the_row_is_refused() -> None:
    assert Named(name="here").name == "here"
    with pytest.raises(TypeError):
        Named("here")  # type: ignore[misc]
