// SPDX-License-Identifier: Apache-2.0
#include "go_stub.h"

/* What the instructions below count on. */
_Static_assert(sizeof(struct go_links) == 56 && offsetof(struct go_links, slots) == 16 &&
		       offsetof(struct go_links, busy) == 24 &&
		       offsetof(struct go_links, back_before) == 32 &&
		       offsetof(struct go_links, again) == 48,
	       "go_stub_links");
_Static_assert(GO_SLOT_SIZE == 1 << GO_SLOT_SHIFT && GO_SLOT_SIZE == 8192 && GO_SLOTS == 256 &&
		       GO_SLOT_SHIFT == 13,
	       "slots");
_Static_assert(offsetof(struct go_slot, address) == 0, "an address is its slot's");

#define BEGIN                              \
	".pushsection .text.go_stub,\"ax\"\n" \
	".balign 64\n"                     \
	".hidden go_stub_begin, go_stub_before, go_stub_after, go_stub_links, go_stub_end\n" \
	".globl go_stub_begin, go_stub_before, go_stub_after, go_stub_links, go_stub_end\n"  \
	"go_stub_begin:\n"
#define LINKS                                                     \
	".balign 8\n"                                             \
	"go_stub_links:\n"                                        \
	"lchoose: .quad 0\nlfailed: .quad 0\nlslots: .quad 0\n"   \
	"lbusy: .quad 0\nlback_before: .quad 0\nlback_after: .quad 0\nlagain: .quad 0\n" \
	"go_stub_end:\n"                                          \
	".popsection\n"

#if defined(__x86_64__)
/*
 * Before: rax number, rbx rcx rdi rsi r8 r9 arguments; r10, r11 and rdx are free. r14 is the goroutine,
 * rbp a frame pointer, both of which C keeps, as rbx. xmm15 is zero for Go: no such register is used.
 * After: rax result; rcx and r11 are free; rdi rsi rdx r10 r8 r9 are what the kernel got.
 */
__asm__(BEGIN
	"go_stub_before:\n"
	"	cmp $42, %rax\n" /* connect */
	"	je 1f\n"
	"	mov %rsi, %r10\n"
	"	mov %rdi, %rdx\n"
	"	jmp *lback_before(%rip)\n"
	"1:	xor %r10d, %r10d\n"
	"	mov lbusy(%rip), %r11\n"
	"2:	cmpb $0, (%r11,%r10)\n" /* a look first: a claim takes the line from the others */
	"	jne 3f\n"
	"	mov $1, %edx\n"
	"	xchg %dl, (%r11,%r10)\n"
	"	test %dl, %dl\n"
	"	je 4f\n"
	"3:	inc %r10d\n"
	"	cmp $256, %r10d\n"
	"	jne 2b\n"
	"	jmp 6f\n"
	"4:	shl $13, %r10\n"
	"	add lslots(%rip), %r10\n"
	"	lea 8192(%r10), %r11\n"
	"	mov %rsp, -8(%r11)\n"
	"	lea -8(%r11), %rsp\n"
	"	push %rcx\n"
	"	push %rdi\n"
	"	push %rsi\n"
	"	push %r8\n"
	"	push %r9\n"
	"	push %r10\n"
	"	sub $8, %rsp\n" /* eight words: aligned */
	"	mov %rdi, %rdx\n"
	"	mov %rcx, %rsi\n"
	"	mov %r10, %rdi\n"
	"	call *lchoose(%rip)\n"
	"	add $8, %rsp\n"
	"	pop %r10\n"
	"	pop %r9\n"
	"	pop %r8\n"
	"	pop %rsi\n"
	"	pop %rdi\n"
	"	pop %rcx\n"
	"	mov (%rsp), %rsp\n"
	"	test %rax, %rax\n"
	"	je 5f\n"
	"	mov %rax, %rcx\n"
	"	jmp 6f\n"
	"5:	sub lslots(%rip), %r10\n"
	"	shr $13, %r10\n"
	"	mov lbusy(%rip), %r11\n"
	"	movb $0, (%r11,%r10)\n"
	"6:	mov $42, %eax\n"
	"	mov %rsi, %r10\n"
	"	mov %rdi, %rdx\n"
	"	jmp *lback_before(%rip)\n"

	"go_stub_after:\n"
	"	mov %rsi, %r11\n"
	"	sub lslots(%rip), %r11\n"
	"	cmp $256 * 8192, %r11\n"
	"	jb 1f\n"
	"	cmp $-4095, %rax\n"
	"	jmp *lback_after(%rip)\n"
	"1:	cmp $-4095, %rax\n"
	"	jb 4f\n"
	"	cmp $-115, %rax\n" /* under way */
	"	je 4f\n"
	"	lea 8192(%rsi), %r11\n"
	"	mov %rsp, -8(%r11)\n"
	"	lea -8(%r11), %rsp\n"
	"	push %rax\n"
	"	push %rdi\n"
	"	push %rsi\n"
	"	push %rdx\n"
	"	push %r10\n"
	"	push %r8\n"
	"	push %r9\n"
	"	mov %rsi, %rdi\n"
	"	mov %rax, %rsi\n"
	"	neg %rsi\n"
	"	call *lfailed(%rip)\n"
	"	mov %rax, %rcx\n"
	"	pop %r9\n"
	"	pop %r8\n"
	"	pop %r10\n"
	"	pop %rdx\n"
	"	pop %rsi\n"
	"	pop %rdi\n"
	"	pop %rax\n"
	"	mov (%rsp), %rsp\n"
	"	test %rcx, %rcx\n"
	"	je 4f\n"
	"	sub lslots(%rip), %rsi\n"
	"	shr $13, %rsi\n"
	"	mov lbusy(%rip), %r11\n"
	"	movb $0, (%r11,%rsi)\n"
	"	mov %rcx, %rsi\n"
	"	mov $42, %eax\n"
	"	jmp *lagain(%rip)\n"
	"4:	mov %rsi, %rcx\n"
	"	sub lslots(%rip), %rcx\n"
	"	shr $13, %rcx\n"
	"	mov lbusy(%rip), %r11\n"
	"	movb $0, (%r11,%rcx)\n"
	"	cmp $-4095, %rax\n"
	"	jmp *lback_after(%rip)\n" LINKS);
#elif defined(__aarch64__)
/*
 * Before: x8 number, x0 to x4 arguments, the sixth still on the stack; all others but x18, x28 (the
 * goroutine), x29 and x30 are free. x19 to x29 C keeps.
 * After: x0 result; all others are what the kernel got.
 */
__asm__(BEGIN
	"go_stub_before:\n"
	"	cmp x8, #203\n" /* connect */
	"	b.eq 1f\n"
	"	ldr x5, [sp, #56]\n"
	"	ldr x16, lback_before\n"
	"	br x16\n"
	"1:	mov x9, #0\n"
	"	ldr x10, lbusy\n"
	"	mov w11, #1\n"
	"2:	add x12, x10, x9\n"
	"7:	ldaxrb w13, [x12]\n"
	"	cbnz w13, 3f\n"
	"	stxrb w14, w11, [x12]\n"
	"	cbnz w14, 7b\n"
	"	b 4f\n"
	"3:	clrex\n"
	"	add x9, x9, #1\n"
	"	cmp x9, #256\n"
	"	b.ne 2b\n"
	"	b 6f\n"
	"4:	ldr x10, lslots\n"
	"	add x10, x10, x9, lsl #13\n"
	"	add x11, x10, #2, lsl #12\n"
	"	mov x9, sp\n"
	"	sub x11, x11, #96\n"
	"	mov sp, x11\n"
	"	stp x9, x30, [sp, #80]\n"
	"	stp x0, x1, [sp]\n"
	"	stp x2, x3, [sp, #16]\n"
	"	stp x4, x8, [sp, #32]\n"
	"	str x12, [sp, #48]\n"
	"	mov x0, x10\n"
	"	ldr x16, lchoose\n"
	"	blr x16\n"
	"	mov x10, x0\n"
	"	ldp x0, x1, [sp]\n"
	"	ldp x2, x3, [sp, #16]\n"
	"	ldp x4, x8, [sp, #32]\n"
	"	ldr x12, [sp, #48]\n"
	"	ldp x9, x30, [sp, #80]\n"
	"	mov sp, x9\n"
	"	cbz x10, 5f\n"
	"	mov x1, x10\n"
	"	b 6f\n"
	"5:	stlrb wzr, [x12]\n"
	"6:	ldr x5, [sp, #56]\n"
	"	ldr x16, lback_before\n"
	"	br x16\n"

	"go_stub_after:\n"
	"	ldr x9, lslots\n"
	"	sub x9, x1, x9\n"
	"	lsr x9, x9, #13\n"
	"	cmp x9, #256\n"
	"	b.lo 1f\n"
	"	cmn x0, #4095\n"
	"	ldr x16, lback_after\n"
	"	br x16\n"
	"1:	ldr x10, lbusy\n"
	"	add x10, x10, x9\n"
	"	cmn x0, #4095\n"
	"	b.lo 4f\n"
	"	cmn x0, #115\n" /* under way */
	"	b.eq 4f\n"
	"	add x11, x1, #2, lsl #12\n"
	"	mov x9, sp\n"
	"	sub x11, x11, #96\n"
	"	mov sp, x11\n"
	"	stp x9, x30, [sp, #80]\n"
	"	stp x0, x1, [sp]\n"
	"	stp x2, x3, [sp, #16]\n"
	"	stp x4, x8, [sp, #32]\n"
	"	stp x5, x10, [sp, #48]\n"
	/* The first argument is gone; it stands in Go's frame, as do all of them. */
	"	mov x0, x1\n"
	"	ldr x1, [sp]\n"
	"	neg x1, x1\n"
	"	ldr x16, lfailed\n"
	"	blr x16\n"
	"	mov x11, x0\n"
	"	ldp x0, x1, [sp]\n"
	"	ldp x2, x3, [sp, #16]\n"
	"	ldp x4, x8, [sp, #32]\n"
	"	ldp x5, x10, [sp, #48]\n"
	"	ldp x9, x30, [sp, #80]\n"
	"	mov sp, x9\n"
	"	cbz x11, 4f\n"
	"	stlrb wzr, [x10]\n"
	"	ldr x0, [sp, #16]\n"
	"	mov x1, x11\n"
	"	ldr x16, lagain\n"
	"	br x16\n"
	"4:	stlrb wzr, [x10]\n"
	"	ldr x1, [sp, #24]\n" /* the program's own: Go takes it for a second result */
	"	cmn x0, #4095\n"
	"	ldr x16, lback_after\n"
	"	br x16\n" LINKS);
#endif
