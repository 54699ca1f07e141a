"""Names for containers that nobody named: an adjective and a person who sailed or shipped."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

VALID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_ADJECTIVES = (
    "able amber ample ardent avid azure balmy bold breezy bright brisk bronze calm candid "
    "clear clever coastal cosy crisp dapper daring deft eager early even fair fleet fond "
    "frank free fresh gallant gentle glad golden graceful grand hale handy hardy hearty "
    "honest humble jaunty jolly keen kind level light lively lucid lucky lunar mellow merry "
    "mild nimble noble patient placid plucky polar prompt proud quick quiet ready robust rosy "
    "salty serene silver sleek smooth snug solar sound spry stable stately steady sterling "
    "stout sunny sure swift tidy tranquil trim true upbeat vast velvet vivid warm wise witty "
    "zesty "
)
_SURNAMES = (
    "amundsen anning barentsz baret baffin balboa banks bartholomew bartram baudin bering "
    "bird bligh bonny bougainville bowditch cabot cabral cano cartier champlain chichester "
    "cook cousteau dampier dias drake earle elcano erikson fitzroy flinders franklin "
    "frobisher gama gilbert hanno harrison hawkins heyerdahl hudson humboldt ibnmajid jewel "
    "kidd kotzebue lafarge laperouse lovelace mackenzie magellan maury maclean mercator "
    "nansen nelson nordenskiold ohmae orellana parry peary pinzon polo ponting pytheas "
    "raleigh rae reis ross scoresby shackleton slocum sverdrup tabei tasman torres tupaia "
    "vancouver vespucci weddell wilkes worsley xuhe zhenghe "
)
ADJECTIVES, SURNAMES = _ADJECTIVES.split(), _SURNAMES.split()


def generate(taken: Callable[[str], object]) -> str:
    """A name for which `taken` says no; after some tries with a number behind it."""
    name = ""
    for attempt in range(6):
        name = f"{random.choice(ADJECTIVES)}_{random.choice(SURNAMES)}"
        if attempt >= 3:
            name += str(random.randrange(10 ** (attempt - 2)))
        if not taken(name):
            return name
    return f"{name}{random.randrange(1 << 30)}"
