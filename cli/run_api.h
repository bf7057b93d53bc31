/* Where `k8slb run` and `k8slb doctor` let the library find the API server. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_RUN_API_H
#define K8SLB_CLI_RUN_API_H

#include <stdbool.h>

#include "finding.h"

/* This process is in a container of a Pod. */
bool run_is_in_pod(void);

/*
 * Sets the K8SLB_* of the environment that lead to the API server, where none does: those of the
 * kubeconfig outside of a Pod, or with @context (NULL: the current one) or KUBECONFIG inside of one
 * too. @ret_finding: FINDING_FAIL where that is not possible.
 */
void run_find_api(const char *context, struct finding *ret_finding);

#endif
