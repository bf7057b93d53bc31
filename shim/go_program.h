/* Go programs that the loader loads: the addresses of their connections are chosen too. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_GO_PROGRAM_H
#define K8SLB_SHIM_GO_PROGRAM_H

#include <stdbool.h>

/*
 * A Go program makes its system calls by itself, in one function (go_stub.h). Where the program is
 * one, by the note of its build id, and has that function once, as we know it, two of its
 * instructions become jumps (go_choose.h says what runs there), and the engine is started: nobody
 * else would. Before main(), so before Go's runtime; glibc only.
 *
 * Anything else leaves the program as it is, and the log says why: the function is not there, or
 * more than once; its text may not be read; memory beside it, or memory that may be executed, is not
 * to be had (SELinux, PaX, a seccomp filter, PR_SET_MDWE). No page is ever writable and executable,
 * and none of the program's changes its rights: a copy is made, finished and made executable, and
 * then takes the place of the page in one step. Plugins use the program's own function, the shared
 * libraries of C programs that are written in Go (c-shared) are not looked at.
 * By the constructor, once, on its thread. Keeps errno.
 */
void go_program_init(void);

/* The program was patched. No hook of ours starts the engine there again when it had to end: whoever
 * ended it does. */
bool go_program_is_patched(void);

#endif
