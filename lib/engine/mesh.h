/* Is there a service mesh's proxy in this Pod? */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_MESH_H
#define K8SLB_ENGINE_MESH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A sidecar proxy takes every connection by redirection in the Pod's network namespace and balances
 * it itself, by the VIP that it was meant for. An endpoint's address would go past its routes,
 * retries and policies (istio/istio#27619), so where one is found we stay out.
 *
 * How it is found: both of its ports, for traffic out of and into the Pod, have a listener in this
 * network namespace. One alone may be anything.
 *   Istio, also in ambient mode, and Kuma: 15001 and 15006
 *     (https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio)
 *   Linkerd: 4140 and 4143 (https://linkerd.io/2/reference/architecture/)
 *   Consul: 15001 and 20000 (https://developer.hashicorp.com/consul/docs/reference/proxy)
 */

/* What the log says then; its name is to be put in. */
#define MESH_MESSAGE "%s's proxy is in this Pod: nothing is balanced (K8SLB_MESH=ignore would)"

/* @listens: whether anything listens at a TCP port. Returns the mesh's name, or NULL. */
const char *mesh_by_ports(bool (*listens)(const void *ctx, uint16_t port), const void *ctx);

/* The same for the calling thread's network namespace. NULL also when the kernel does not tell.
 * System calls only, and little of the stack; changes errno. */
const char *mesh_detect(void);

#endif
