"""The few C types and calls that a start of the runtime needs, without the rest of `ctypes`.

`import ctypes` takes 2 ms: it defines some thirty types with their byte-swapped twins, and brings
`types` and `struct`. What is here are its own classes, made from `_ctypes` as it makes them, so the
two mix freely. An interpreter with another `_ctypes` gets `ctypes` itself.
"""

from __future__ import annotations

__all__ = [
    "CDLL",
    "Array",
    "PyDLL",
    "Structure",
    "addressof",
    "byref",
    "c_char",
    "c_char_p",
    "c_int",
    "c_long",
    "c_size_t",
    "c_uint",
    "c_uint32",
    "c_uint64",
    "c_ulong",
    "c_void_p",
    "create_string_buffer",
    "get_errno",
    "sizeof",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import (
        CDLL,
        Array,
        PyDLL,
        Structure,
        addressof,
        byref,
        c_char,
        c_char_p,
        c_int,
        c_long,
        c_size_t,
        c_uint,
        c_uint32,
        c_uint64,
        c_ulong,
        c_void_p,
        create_string_buffer,
        get_errno,
        sizeof,
    )
else:
    try:
        from _ctypes import (
            FUNCFLAG_CDECL,
            FUNCFLAG_PYTHONAPI,
            FUNCFLAG_USE_ERRNO,
            Array,
            CFuncPtr,
            Structure,
            _SimpleCData,
            addressof,
            byref,
            dlopen,
            get_errno,
            sizeof,
        )

        def _simple(name, code):
            return type(_SimpleCData)(name, (_SimpleCData,), {"_type_": code})

        c_char, c_char_p, c_void_p = (
            _simple("c_char", "c"),
            _simple("c_char_p", "z"),
            _simple("c_void_p", "P"),
        )
        c_int, c_uint = _simple("c_int", "i"), _simple("c_uint", "I")
        c_long, c_ulong = _simple("c_long", "l"), _simple("c_ulong", "L")
        c_uint32, c_uint64, c_size_t = c_uint, _simple("c_uint64", "Q"), c_ulong

        def create_string_buffer(init, size=None):
            """An array of char with the bytes `init`, or of `init` zeros."""
            if isinstance(init, int):
                return (c_char * init)()
            buffer = (c_char * (len(init) + 1 if size is None else size))()
            buffer.value = init
            return buffer

        class _Function(CFuncPtr):
            _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
            _restype_ = c_int

        class _LockedFunction(CFuncPtr):
            _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO | FUNCFLAG_PYTHONAPI
            _restype_ = c_int

        class CDLL:
            kind = _Function

            def __init__(self, name, use_errno=True):
                self._handle = dlopen(name, 2)  # RTLD_NOW

            def __getitem__(self, name):
                return self.kind((name, self))

        class PyDLL(CDLL):
            """Its calls keep the interpreter's lock."""

            kind = _LockedFunction

        CDLL(None)["getpid"]()
    except Exception:
        import ctypes

        globals().update({name: getattr(ctypes, name) for name in __all__})
