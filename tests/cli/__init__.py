# SPDX-License-Identifier: Apache-2.0
"""The k8slb command, seen from outside."""
