/* Answers without the kernel, so that only the hook is measured. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_TESTS_BENCH_STUB_CALLS_H
#define K8SLB_TESTS_BENCH_STUB_CALLS_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * Preloaded after the shim, this object is what the shim takes for libc. socket() with
 * BENCH_STUB_PROTOCOL makes this descriptor, which no process has, and connect(), getsockopt() and
 * setsockopt() on it are answered here; all others go to the kernel.
 */
#define BENCH_STUB_FD	    16000
#define BENCH_STUB_PROTOCOL IPPROTO_TCP

/* sin_addr of the last connect() on BENCH_STUB_FD; found by dlsym("bench_connected_to"). */
extern _Atomic uint32_t bench_connected_to;

#endif
