/* Is this call made from a signal handler? */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_SIGNAL_FRAME_H
#define K8SLB_SHIM_SIGNAL_FRAME_H

#include <stdbool.h>

/*
 * connect(2) may be called from a signal handler (signal-safety(7)), but pthread_create() may not:
 * it allocates, and a handler that interrupted malloc() would wait for ever for a lock of its own
 * thread. So no engine is started there.
 *
 * A handler's signal is blocked while it runs (unless SA_NODEFER), and the frame that the kernel
 * made for it lies above us on the stack, with the address of the return trampoline in it. Both
 * must be so: threads block signals for good (the Java VM does), and frames of handlers that have
 * returned lie in the unused parts of live ones; the mask that they return to tells.
 *
 * True may be wrong (then the next call starts the engine). False is wrong for a handler whose own
 * frames are larger than SIGNAL_FRAME_REACH, or where a program changes the mask within its
 * handler. Async-signal-safe; about 70 system calls of 60 ns; changes errno.
 */
bool in_signal_handler(void);

#define SIGNAL_FRAME_REACH (256 * 1024)

#endif
