/* Sockets that connect() need not ask about: TCP, made by socket(), and not connected since. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_FRESH_H
#define K8SLB_SHIM_FRESH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Of each thread the last socket that it made is fresh, until it connects it or makes another one.
 * Most programs connect what they have just made.
 *
 * A number can get something else meanwhile. What another thread's socket() puts there is seen, by
 * the ticket that each socket() leaves at its number; dup2(2), SCM_RIGHTS and bare system calls are
 * not. Of what they can bring a connect() to our endpoint harms a datagram socket alone (others
 * answer as they would to any address), and that only where the Service takes datagrams at this
 * very address: there nothing is taken for fresh (connect.c). To hook all calls that make
 * descriptors would not see the bare ones either; one setsockopt(2) more for each connection would
 * cost 250 ns.
 * An MPTCP socket that was asked for as TCP (mptcpize, a BPF program) is none the worse for being
 * taken for one (patience.h).
 */
enum fresh {
	FRESH_NOT, /* or not known: the kernel is to be asked */
	FRESH_TCP,
	FRESH_NONBLOCKING, /* made so (SOCK_NONBLOCK), and hardly ever changed since */
};

/* socket() has returned @fd. Async-signal-safe. */
void fresh_note(int fd, int domain, int type, int protocol);

/* What @fd is; from now on it is not fresh. A few loads. Async-signal-safe. */
enum fresh fresh_take(int fd);

/* The calling thread has just made @fd, and not connected it. */
bool fresh_is_new(int fd);

/* Differs when socket() has returned @fd since; 0: not known. Async-signal-safe. */
uint32_t fresh_ticket(int fd);

#endif
