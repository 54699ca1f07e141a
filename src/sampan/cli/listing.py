"""Lists as Docker prints them: a table, a Go template for each row, or JSON.

A list is a dictionary of fields, in order: name → (header, getter of the row's object).
    show(rows, FIELDS, ("ID", "Name"), format_)
"""

from __future__ import annotations

import sys

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    FieldTable = Mapping[str, tuple[str, Callable[[Any], Any]]]

MIN_WIDTH = 10  # columns of a table, padding included
PADDING = 3


class BadFormat(errors.InvalidArgument):
    """A `--format` that cannot be parsed (`broken`), or that asks for what is not there."""

    def __init__(self, error: Exception, *, broken: bool) -> None:
        super().__init__(f"template parsing error: {error}")
        self.broken = broken


def show(
    rows: Iterable[Any], fields: FieldTable, default: Sequence[str], format_: str = ""
) -> None:
    """Print `rows` on stdout. `format_` as in `--format`; "" and `table`: the default columns."""
    sys.stdout.write(text(rows, fields, default, format_))


def text(rows: Iterable[Any], fields: FieldTable, default: Sequence[str], format_: str = "") -> str:
    if format_ in ("", "table"):
        cells = [[fields[name][0] for name in default]]
        cells += [[_show(fields[name][1](row)) for name in default] for row in rows]
        return table(cells)
    from sampan.cli import template

    getters = {name: getter for name, (_, getter) in fields.items()}
    if format_ == "json":
        format_ = "{{json .}}"
    source = format_.replace("\\t", "\t").replace("\\n", "\n")
    try:
        if not source.startswith("table"):
            rendered = template.Template(source)
            return "".join(f"{rendered.render(template.Fields(getters, r))}\n" for r in rows)
        rendered = template.Template(source[len("table") :].strip(" "))
        headers = {name: _constant(header) for name, (header, _) in fields.items()}
        lines = [rendered.render(template.Fields(headers, None))]
        lines += [rendered.render(template.Fields(getters, row)) for row in rows]
    except template.TemplateError as error:
        raise BadFormat(error, broken=isinstance(error, template.BrokenTemplate)) from error
    return table([line.split("\t") for line in lines])


def _show(value: Any) -> str:
    if isinstance(value, str):
        return value
    from sampan.cli import template_functions

    return template_functions.show(value)


def _constant(header: str) -> Callable[[Any], Any]:
    """A getter of a column's header; a member that takes arguments is headed by its argument."""
    if not header:
        return lambda _: lambda name: name.upper()
    return lambda _: header


def table(rows: Sequence[Sequence[str]], *, min_width: int = MIN_WIDTH) -> str:
    """Columns as wide as their widest cell; the last one is left as it is."""
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths.get(column, min_width), len(cell) + PADDING)
    return "".join(
        "".join(f"{cell:<{widths[i]}}" for i, cell in enumerate(row[:-1])) + f"{row[-1]}\n"
        for row in rows
    )


def render(format_: str, data: Any) -> str:
    """One object through a template (or `json`), for `inspect`, `info`, `version`."""
    from sampan.cli import template

    if format_ == "json":
        format_ = "{{json .}}"
    try:
        return template.render(format_.replace("\\t", "\t").replace("\\n", "\n"), data)
    except template.TemplateError as error:
        raise BadFormat(error, broken=isinstance(error, template.BrokenTemplate)) from error


def ellipsis(text_: str, size: int) -> str:
    """Cut to `size` characters, the last one an ellipsis."""
    return text_ if len(text_) <= size else f"{text_[: size - 1]}…"


def short_id(ident: str) -> str:
    """Twelve digits, as Docker shows IDs."""
    return ident.rpartition(":")[2][:12]


def filters(terms: Mapping[str, Sequence[str]]) -> dict[str, dict[str, bool]] | None:
    """`--filter` terms in the shape that Docker's CLI sends."""
    return {key: dict.fromkeys(values, True) for key, values in terms.items()} or None
