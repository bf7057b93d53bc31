# SPDX-License-Identifier: Apache-2.0
"""What deploy/ has: the policies, the chart and the manifests, on the real API server."""
