"""What a parent has made costs its children no memory: nobody counts references to it any more.

A reference to an object is counted in the object, so a child of fork(2) that only looks at what its
parent made copies those pages, page by page. From Python 3.12 on (PEP 683) a count whose low 32
bits are all ones is left alone, and the object never goes. `everything()` gives it to all that
there is now; what is made later lives and dies as ever.

Python itself has no call for that. The layout is asked, not assumed: where an object of our own
does not behave so (3.11, builds without the GIL, debug builds), nothing is touched.
"""

from __future__ import annotations

import ctypes
import gc
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NEVER_COUNTED = 0xFFFFFFFF
_COUNT = ctypes.c_uint32
_OF_CODE = (  # what the collector does not follow
    *("co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_filename"),
    *("co_name", "co_qualname", "co_linetable", "co_exceptiontable"),
)


def everything() -> int:
    """How many objects; 0 where this Python cannot. For a process that ends by `os._exit`."""
    if not _possible():
        return 0
    found = {id(each): each for each in gc.get_objects()}
    wave = list(found.values())
    while wave:
        reached = gc.get_referents(*wave)
        for each in wave:
            if type(each) is types.CodeType:
                reached += [getattr(each, name) for name in _OF_CODE]
        wave = [each for each in {id(x): x for x in reached}.values() if id(each) not in found]
        found |= {id(each): each for each in wave}
    for address in found:
        _COUNT.from_address(address).value = _NEVER_COUNTED
    return len(found)


def _possible() -> bool:
    """Whether the count is where we look for it, and is left alone once it has all its bits."""
    probe = _Probe()
    count = _COUNT.from_address(id(probe))
    before = count.value
    holders: list[Any] = [probe] * 8
    counted = count.value == before + 8
    holders.clear()
    if not counted or count.value != before:
        return False
    count.value = _NEVER_COUNTED
    holders += [probe] * 8
    kept = count.value == _NEVER_COUNTED
    holders.clear()
    count.value = before
    return kept


class _Probe:
    pass
