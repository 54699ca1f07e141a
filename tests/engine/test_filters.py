import pytest

from sampan.engine.filters import Filters
from sampan.kit import errors


@pytest.mark.parametrize("text", ['{"status":["exited"]}', '{"status":{"exited":true}}'])
def test_both_shapes_of_clients_are_understood(text: str) -> None:
    filters = Filters.parse(text)
    assert filters.exact("status", "exited")
    assert not filters.exact("status", "running")


def test_a_value_switched_off_does_not_count() -> None:
    assert not Filters.parse('{"status":{"exited":false}}')


def test_labels_must_all_be_there() -> None:
    filters = Filters({"label": ["a", "b=2"]})
    assert filters.labels({"a": "1", "b": "2"})
    assert not filters.labels({"a": "1", "b": "3"})
    assert not filters.labels({"b": "2"})
    assert Filters({"label!": ["a"]}).labels({"b": ""})
    assert not Filters({"label!": ["a"]}).labels({"a": ""})


def test_names_match_in_part_and_by_pattern() -> None:
    assert Filters({"name": ["we"]}).match("name", "web")
    assert Filters({"name": ["^/web$"]}).match("name", "web", "/web")
    assert not Filters({"name": ["^eb"]}).match("name", "web", "/web")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "[" * 5000])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="invalid filter"):
        Filters.parse(text)


def test_unknown_filters_and_flags_are_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match="invalid filter 'colour'"):
        Filters({"colour": ["red"]}).accept("name")
    with pytest.raises(errors.InvalidArgument):
        Filters({"dangling": ["perhaps"]}).flag("dangling")
    assert Filters({"dangling": ["True"]}).flag("dangling")
