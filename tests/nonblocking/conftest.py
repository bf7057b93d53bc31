# SPDX-License-Identifier: Apache-2.0
from tests.failover.common import firewall  # noqa: F401: a fixture
from tests.harness import counts
from tests.programs.conftest import world  # noqa: F401: a fixture

# With make soak alone; what it runs is not installed else.
collect_ignore = [] if counts(0, 1) else ["test_suites.py"]
