"""TLS contexts that trust the same certificates on every Python.

From 3.13 on `ssl.create_default_context` refuses what RFC 5280 does not allow (no Authority Key
Identifier, a basicConstraints that is not critical), which the certificates of Docker's own
instructions do; and it takes any certificate it was given as an anchor, not just a root. Docker's
programs do the second and not the first; so do we.
"""

from __future__ import annotations

import ssl


def context(
    purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, *, ca: str | None = None
) -> ssl.SSLContext:
    """To verify servers (or, CLIENT_AUTH, to be one), by the file `ca` or what the host trusts.

    Raises OSError for a file that cannot be loaded.
    """
    made = ssl.create_default_context(purpose, cafile=ca)
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made
