"""What can go wrong with networks, as subclasses of `kit.errors`."""

from __future__ import annotations

from sampan.kit import errors


class NetworkUnavailable(errors.Unsupported):
    """The kernel refused a link, a rule or a sysctl."""


class InvalidNetwork(errors.InvalidArgument):
    """A subnet, gateway, address or name that can never work."""


class AddressesExhausted(errors.Conflict):
    """No address of the network is free."""


class AddressInUse(errors.Conflict):
    """The wanted address belongs to another endpoint."""


class NoSubnet(errors.Conflict):
    """Every default pool overlaps with something."""


class PortAllocated(errors.Conflict):
    """Somebody listens on the host's port. Facts: `host_ip`, `port`, `protocol`."""

    def __init__(self, message: str, *, host_ip: str, port: int, protocol: str) -> None:
        super().__init__(message)
        self.host_ip, self.port, self.protocol = host_ip, port, protocol


class InvalidPort(errors.InvalidArgument):
    """A host address or protocol on which nothing can be published."""
