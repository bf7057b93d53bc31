/* Where a connect() of a Go program leads: what runs in place of a few instructions of its own. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_GO_CHOOSE_H
#define K8SLB_SHIM_GO_CHOOSE_H

#include <stdint.h>
#include <sys/socket.h>

#include "pick/pick.h"

/*
 * The room of what is patched into a Go program (go_program.h), and of all that it calls. Its thread
 * is Go's: the stack may have a hundred bytes left, libc's thread-local storage may be something
 * else's, a signal may ask for another goroutine at any instruction. So in here there is
 *   no system call,
 *   no lock, no wait and no allocation,
 *   no thread-local storage, and so no errno and nothing of libc's,
 *   no register but the general ones (the makefile compiles these files so),
 *   no write to the program's memory,
 *   a stack of our own.
 * scripts/check-structure reads the instructions of everything that can be reached from here.
 */

/*
 * One connect() of the program, from before its system call to after it. Taken for so long, because
 * the kernel reads the address when it comes to that: one that another call wrote over meanwhile
 * would be another Service's. Behind it in its GO_SLOT_SIZE bytes is the stack.
 */
#define GO_SLOT_SIZE  8192
#define GO_SLOT_SHIFT 13
#define GO_SLOTS      256 /* without a free one the call goes as it came */

struct go_slot {
	struct sockaddr_storage address; /* first: its address is the slot's (go_stub.c) */
	const struct sockaddr *own;	 /* the program's */
	struct picked picked;
};

_Static_assert(sizeof(struct go_slot) <= 1024, "most of it is stack");

/*
 * The address in place of @address of @length: the slot's, or NULL, for the program's own: not ours,
 * no table, one that is out of date, or any doubt. There is no socket to be looked at: where a
 * datagram socket could be meant it is not ours.
 */
const struct sockaddr *go_choose(struct go_slot *slot, const struct sockaddr *address,
				 uint64_t length);

/*
 * What was chosen for this slot failed at once with @error. The program's own address, where that is
 * to be asked next, by the same call (failover.h), or NULL: the failure is the program's.
 */
const struct sockaddr *go_failed(const struct go_slot *slot, uint64_t error);

#endif
