# SPDX-License-Identifier: Apache-2.0
from tests.failover.common import firewall  # noqa: F401: a fixture
