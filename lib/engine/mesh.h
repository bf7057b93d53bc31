/* Is there a service mesh's proxy in this Pod? */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_ENGINE_MESH_H
#define K8SLB_ENGINE_MESH_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

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
 *
 * Whose they are: any user of the Pod may listen there. A proxy runs as root, as the program's own
 * user, as 1337 (Istio; https://istio.io/latest/docs/reference/config/analysis/ist0144), 2102
 * (Linkerd), 5678 (Kuma), 5995 (Consul), or on OpenShift as the number after that of the
 * namespace's programs (opendatahub-io/kserve#25); one of the node, in a Pod with a user namespace,
 * as nobody known.
 */

/* What the log says then; its name is to be put in. */
#define MESH_MESSAGE "%s's proxy is in this Pod: nothing is balanced (K8SLB_MESH=ignore would)"

/* When it was looked for, and whether it was found; all zero at first. Of the engine's thread, or
 * of a process without one, of which one thread at a time looks and any may ask. */
struct mesh_watch {
	uint64_t looked_ms;
	uint32_t found;
};

/*
 * Such a proxy is to be looked for: @mode says so, and nobody has looked within the last minute. It
 * may come up after the program; found, it counts for good, for it seldom leaves. @now_ms: of
 * CLOCK_MONOTONIC. Two loads.
 */
bool mesh_is_due(const struct mesh_watch *watch, enum mesh_mode mode, uint64_t now_ms);

/*
 * Looks when it is due. Returns the mesh's name, which is to be told once, or NULL: none, or not
 * due, or the kernel does not tell. System calls only, and little of the stack; async-signal-safe,
 * keeps errno.
 */
const char *mesh_look(struct mesh_watch *watch, enum mesh_mode mode, uint64_t now_ms);

/* @listens: whether anything listens at a TCP port. Returns the mesh's name, or NULL. */
const char *mesh_by_ports(bool (*listens)(const void *ctx, uint16_t port), const void *ctx);

#endif
