# SPDX-License-Identifier: Apache-2.0
"""The fixture `place`: each C library in turn."""
from typing import Dict

import pytest

from tests.harness import Build
from tests.libcs import places


@pytest.fixture(scope="session")
def made_places() -> Dict[str, places.Place]:
    return {}


@pytest.fixture(params=places.NAMES)
def place(request: pytest.FixtureRequest, network: None, build: Build, made_places: Dict[str, places.Place]) -> places.Place:
    """A C library to run programs on."""
    name: str = request.param
    if name not in made_places:
        made_places[name] = places.place(build, name)
    return made_places[name]
