/* Pointers of the caller that must not be followed. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_POINTER_H
#define K8SLB_SHIM_POINTER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Addresses that no program can own: libc answers EFAULT, where reading the family would crash.
 * Conformance tests call with (void *)-1. Other bad pointers cannot be told without a system call.
 */
static inline bool is_impossible_pointer(const void *pointer)
{
	return (uintptr_t)pointer < 4096 || (uintptr_t)pointer >= (uintptr_t)-4096;
}

#endif
