# SPDX-License-Identifier: Apache-2.0
"""k8slb agent, and the programs that read its table."""
