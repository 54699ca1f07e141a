"""The small languages inside options: one module each, with `parse(text)`.

A `parse` raises ValueError with one sentence that says what is malformed.
"""
