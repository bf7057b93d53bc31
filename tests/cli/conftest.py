# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of the k8slb command."""
from tests.agent.conftest import agents, place  # noqa: F401: for the tests here, too
