# SPDX-License-Identifier: Apache-2.0
"""The one libk8slb.so on other C libraries than the build machine's."""
