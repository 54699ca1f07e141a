import asyncio
import subprocess

import pytest

from sampan.network.watch import Watch

from .conftest import OUTSIDE, endpoint, network, new_netns, talk

pytestmark = pytest.mark.needs("netns", "nft")


@pytest.mark.parametrize("harm", ["flush", "dockerd"])
def test_what_others_break_later_is_put_right(own_host, harm):
    async def body(host):
        driver, net, inside = host.driver(), network(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, endpoint(2), inside)
        with Watch(quiet=0.01) as watch:
            if harm == "flush":
                _flush()
            else:
                _start_of_dockerd()
            await asyncio.wait_for(watch.changed(), 5)
            await driver.firewall.reconcile([net], [])
        assert talk(inside, (OUTSIDE, 80), host.outside, 80)

    own_host(body)


def test_nobody_changed_anything(own_host):
    async def body(host):
        await host.driver().ensure(network())
        with Watch(quiet=0.01) as watch:
            await host.driver().firewall.reconcile([network()], [])
            await host.driver().ensure(network(2))  # our own changes
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(watch.changed(), 0.1)

    own_host(body)


def _flush() -> None:
    subprocess.run(["nft", "flush", "ruleset"], check=True)


def _start_of_dockerd() -> None:
    subprocess.run(["iptables-nft", "-P", "FORWARD", "DROP"], check=True)
