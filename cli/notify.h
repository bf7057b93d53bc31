/* Tells the service manager that started us how we are (sd_notify(3)), without its library. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_NOTIFY_H
#define K8SLB_CLI_NOTIFY_H

/*
 * Sends @state, lines as "READY=1\nSTATUS=...", to the socket that NOTIFY_SOCKET names: a path, or
 * with "@" before it an abstract name. Does nothing where there is none; never waits.
 * Returns 0 or -errno; -EAGAIN: the manager's queue is full, a later try may succeed.
 */
int notify_manager(const char *state);

#endif
