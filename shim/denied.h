/* Endpoints that this process may not connect to. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_DENIED_H
#define K8SLB_SHIM_DENIED_H

#include <stdbool.h>

#include "table/reader.h"

/*
 * What answered EACCES or EPERM is a filter that knows the Service's address or port and not the
 * pod's: Landlock, a cgroup's program, a supervisor behind seccomp. It will answer so again, so for
 * 60 s connections whose turn it is go to the VIP without asking.
 * Of this process alone: such filters belong to a process, a thread or a container, and another one
 * of the same user may connect there. A forked child inherits both. Lossy, lock-free; whatever is
 * read torn or lost costs one refusal more, or sends one connection more to the VIP.
 */

/* @endpoint was refused with EACCES or EPERM. Keeps errno. */
void denied_add(const struct table_endpoint *endpoint);

/* It was, less than 60 s ago. One load while nothing is. Keeps errno. */
bool denied_has(const struct table_endpoint *endpoint);

/* Both for a caller that has read CLOCK_MONOTONIC itself, coarse or not. */
void denied_add_at(const struct table_endpoint *endpoint, uint64_t now_ms);
bool denied_has_at(const struct table_endpoint *endpoint, uint64_t now_ms);

#endif
