"""rtnetlink(7): links, addresses, routes and neighbours in as few system calls as possible.

A change is a `Request` value, made by the functions below; a `Socket` sends a hundred of them in
one sendmsg(2), more in several, and reads the acknowledgements, matched by sequence number. The
first that failed is raised as OSError naming the request and its object; the others were tried too
(the kernel goes on), so send together what may be undone together.

    with Socket() as host:
        host.send(add_bridge("br0"), set_link("br0", up=True))
        bridge = host.link("br0")
    with Socket(netns=fd) as inside:              # made in that namespace, whoever uses it
        inside.send(set_link("lo", up=True))

Addresses are text ("10.0.0.1", "fd00::1"), hardware addresses "02:42:…", prefixes numbers of bits.
"""

from __future__ import annotations

from sampan.linux.netlink._addresses import (
    add_address,
    add_forwarding,
    add_neighbour,
    add_route,
    del_address,
    del_forwarding,
    del_neighbour,
    del_route,
    replace_route,
)
from sampan.linux.netlink._links import (
    IPVLAN_MODES,
    MACVLAN_MODES,
    add_bridge,
    add_ipvlan,
    add_macvlan,
    add_veth,
    add_vlan,
    add_vxlan,
    del_link,
    move_link,
    no_link_local,
    set_alias,
    set_link,
    set_port,
)
from sampan.linux.netlink._qdiscs import replace_tbf
from sampan.linux.netlink._socket import (
    Address,
    Link,
    Neighbour,
    Route,
    Socket,
)
from sampan.linux.netlink._wire import (
    AF_BRIDGE,
    NETLINK_NETFILTER,
    Request,
    attribute,
    attributes,
    nested,
)

__all__ = [
    "AF_BRIDGE",
    "IPVLAN_MODES",
    "MACVLAN_MODES",
    "NETLINK_NETFILTER",
    "Address",
    "Link",
    "Neighbour",
    "Request",
    "Route",
    "Socket",
    "add_address",
    "add_bridge",
    "add_forwarding",
    "add_ipvlan",
    "add_macvlan",
    "add_neighbour",
    "add_route",
    "add_veth",
    "add_vlan",
    "add_vxlan",
    "attribute",
    "attributes",
    "del_address",
    "del_forwarding",
    "del_link",
    "del_neighbour",
    "del_route",
    "move_link",
    "nested",
    "no_link_local",
    "replace_route",
    "replace_tbf",
    "set_alias",
    "set_link",
    "set_port",
]
