/* The instructions that a patched Go program passes through, to be copied beside its text. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_SHIM_GO_STUB_H
#define K8SLB_SHIM_GO_STUB_H

#include <stddef.h>
#include <stdint.h>

#include "go_choose.h"

/*
 * Go's Syscall6 (internal/runtime/syscall/linux, asm_linux_*.s), which all system calls of the syscall
 * package and of x/sys go through:
 *
 *	arguments into the kernel's registers	<- jumps to the stub's @before, at GO_BEFORE
 *	the system call
 *	compares the result			<- jumps to the stub's @after, at GO_AFTER
 *	branches by that
 *
 * @before does what was in its place and jumps back, and for a connect() has the address chosen
 * before (go_choose()). @after does the same, and where the address was a slot's gives that back; a
 * failure may be followed by the same call with the program's own address, from the system call on.
 * Both change only what the call itself may change: in Go's ABI no register is the caller's but the
 * stack pointer, the frame pointer and the goroutine (cmd/compile/abi-internal.md), and the kernel
 * keeps all but the result's (on x86-64 rcx and r11 too). They use nothing of the stack that they
 * find. A signal finds Go's handler, which runs on a stack of its own and takes no goroutine away
 * where the code is not Go's (runtime/preempt.go, isAsyncSafePoint()).
 */
extern const uint8_t go_stub_begin[], go_stub_before[], go_stub_after[], go_stub_links[],
	go_stub_end[];

/* What stands at go_stub_links: filled in before the stub's page is made executable, and never written
 * again, so that no address of code is anywhere where it can be written. */
struct go_links {
	const struct sockaddr *(*choose)(struct go_slot *, const struct sockaddr *, uint64_t);
	const struct sockaddr *(*failed)(const struct go_slot *, uint64_t);
	struct go_slot *slots; /* GO_SLOTS times GO_SLOT_SIZE bytes */
	uint8_t *busy;	       /* a byte for each of them: 1 as long as it is taken */
	uintptr_t back_before, back_after, again; /* again: the system call */
};

/* Syscall6 as each Go that we know has it; GO_ANY: any byte. */
#if defined(__x86_64__)
#define GO_PATTERN                                                                      \
	0x49, 0x89, 0xf2,		 /* mov %rsi,%r10 */                            \
	0x48, 0x89, 0xfa,		 /* mov %rdi,%rdx */                            \
	0x48, 0x89, 0xce,		 /* mov %rcx,%rsi */                            \
	0x48, 0x89, 0xdf,		 /* mov %rbx,%rdi */                            \
	0x0f, 0x05,			 /* syscall */                                  \
	0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, /* cmp $-4095,%rax */                       \
	0x76				 /* jbe ok */
#define GO_BEFORE	 0 /* the first two */
#define GO_BEFORE_SIZE	 6
#define GO_AGAIN	 12
#define GO_AFTER	 14
#define GO_AFTER_SIZE	 6
#define GO_TEXT_ALIGNED	 1
#define GO_REACH	 0x7fff0000l /* of a jump */
#elif defined(__aarch64__)
#define GO_PATTERN                                             \
	0xe8, 0x07, 0x40, 0xf9, /* ldr x8, [sp, #8] */         \
	0xe0, 0x0b, 0x40, 0xf9, /* ldr x0, [sp, #16] */        \
	0xe1, 0x0f, 0x40, 0xf9, /* ldr x1, [sp, #24] */        \
	0xe2, 0x13, 0x40, 0xf9, /* ldr x2, [sp, #32] */        \
	0xe3, 0x17, 0x40, 0xf9, /* ldr x3, [sp, #40] */        \
	0xe4, 0x1b, 0x40, 0xf9, /* ldr x4, [sp, #48] */        \
	0xe5, 0x1f, 0x40, 0xf9, /* ldr x5, [sp, #56] */        \
	0x01, 0x00, 0x00, 0xd4, /* svc #0 */                   \
	0x1f, 0xfc, 0x3f, 0xb1  /* cmn x0, #4095 */
#define GO_BEFORE	 24 /* the last load */
#define GO_BEFORE_SIZE	 4
#define GO_AGAIN	 28
#define GO_AFTER	 32
#define GO_AFTER_SIZE	 4
#define GO_TEXT_ALIGNED	 4
#define GO_REACH	 0x07ff0000l
#endif

#endif
