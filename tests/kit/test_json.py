"""The light JSON writes what the standard library's writes."""

import json

import pytest

from sampan.kit import json as light

VALUES = [{}, [], {"a": [], "b": {}, "c": [1, {"x": 'é"\n'}], "d": None}, [[1], [True, 1.5]], "x"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("indent", [2, 4])
def test_many_lines(value: object, indent: int) -> None:
    assert light.pretty(value, indent) == json.dumps(value, indent=indent, ensure_ascii=False)
