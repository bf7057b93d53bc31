// SPDX-License-Identifier: Apache-2.0

//go:build twice

// The instructions of Go's Syscall6 once more, where nobody calls them.
package main

// #if defined(__x86_64__)
// __asm__(".text\n"
//	"mov %rsi, %r10\n mov %rdi, %rdx\n mov %rcx, %rsi\n mov %rbx, %rdi\n syscall\n"
//	".byte 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff, 0x76, 0\n");
// #elif defined(__aarch64__)
// __asm__(".text\n"
//	"ldr x8, [sp, #8]\n ldr x0, [sp, #16]\n ldr x1, [sp, #24]\n ldr x2, [sp, #32]\n ldr x3, [sp, #40]\n"
//	"ldr x4, [sp, #48]\n ldr x5, [sp, #56]\n svc #0\n cmn x0, #4095\n");
// #endif
import "C"
