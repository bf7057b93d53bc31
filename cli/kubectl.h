/* What kubectl does for us: reading the kubeconfig, and a proxy where the library cannot log in. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_KUBECTL_H
#define K8SLB_CLI_KUBECTL_H

#include <stdint.h>

#include "kube/kubeconfig.h"

/*
 * Asks kubectl for the context (NULL: the current one). Returns 0 or -errno with the reason in
 * @error; -ENOENT: there is no kubectl. Free by kubeconfig_free().
 */
int kubectl_config(const char *context, struct kubeconfig *ret_config, char *error,
		   size_t error_size);

/*
 * Starts `kubectl proxy` for a context on a port of loopback that the kernel chooses, which answers
 * reads of the three lists that the library needs, and nothing else: who may connect to loopback
 * has the caller's rights there.
 *
 * It ends with this process, whatever program that becomes by then: a process that is no child of
 * it waits for its end, and ends the proxy. Nothing of it is left here, no child and no descriptor.
 * Returns 0 or -errno with the reason in @error.
 */
int kubectl_proxy(const char *context, uint16_t *ret_port, char *error, size_t error_size);

#endif
