# SPDX-License-Identifier: Apache-2.0
"""Measurements: C programs that run with and without the shim, and the modules that drive them (__main__.py)."""
