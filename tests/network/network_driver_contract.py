"""What every network driver promises. Subclass it, provide `driver` and `network`."""

import asyncio

from sampan.linux import netlink
from sampan.network.driver import Network, NetworkDriver

from .conftest import endpoint, new_netns


class NetworkDriverContract:
    """`driver(host)` makes one for a `conftest.Host`."""

    network: Network

    def driver(self, host) -> NetworkDriver:
        raise NotImplementedError

    def test_a_life(self, own_host):
        async def body(host):
            before = host.ruleset(), host.links()
            driver, inside = self.driver(host), new_netns()
            await driver.ensure(self.network)
            await driver.ensure(self.network)
            await driver.connect(self.network, endpoint(2), inside)
            await driver.disconnect(self.network, endpoint(2), inside)
            await driver.remove(self.network)
            assert (host.ruleset(), host.links()) == before

        own_host(body)

    def test_taking_away_what_is_not_there_is_fine(self, own_host):
        async def body(host):
            driver, inside = self.driver(host), new_netns()
            await driver.disconnect(self.network, endpoint(2), inside)
            await driver.remove(self.network)

        own_host(body)

    def test_another_driver_goes_on_with_the_same_records(self, own_host):
        async def body(host):
            inside = new_netns()
            await self.driver(host).ensure(self.network)
            await self.driver(host).connect(self.network, endpoint(2), inside)
            await self.driver(host).disconnect(self.network, endpoint(2), inside)
            await self.driver(host).connect(self.network, endpoint(2), inside)

        own_host(body)

    def test_many_at_once(self, own_host):
        async def body(host):
            driver = self.driver(host)
            await driver.ensure(self.network)
            spaces = [new_netns() for _ in range(8)]
            async with asyncio.TaskGroup() as group:
                for n, space in enumerate(spaces, 2):
                    group.create_task(driver.connect(self.network, endpoint(n), space))
            names = set()
            for space in spaces:
                with netlink.Socket(netns=space) as sock:
                    names.add(len(sock.links()))
            assert len(names) == 1

        own_host(body)
