/* What kind of file a program is, as far as a preloaded library minds. */
// SPDX-License-Identifier: Apache-2.0
#ifndef K8SLB_CLI_PROGRAM_H
#define K8SLB_CLI_PROGRAM_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Most scripts in a row: the kernel's own limit (exec_binprm() in fs/exec.c). */
#define PROGRAM_INTERPRETERS 5

struct program {
	char path[PATH_MAX];	 /* what was asked for, found as execvp(3) does */
	char binary[PATH_MAX];	 /* the ELF file that runs: @path, or the interpreter of a script */
	bool is_elf;		 /* else nothing below but the next two is known */
	bool changes_user;	 /* setuid or setgid, of somebody else than this process */
	bool has_capabilities;	 /* of a file, and this process is not root */
	bool is_go;		 /* its calls do not go through a libc, dynamic or not */
	uint16_t machine;	 /* EM_X86_64, ... */
	uint8_t bits;		 /* 32 or 64 */
	char loader[PATH_MAX];	 /* its dynamic loader; "": it is static */
};

/*
 * Finds and reads it, and what it is interpreted by (also through env(1)). Returns 0 or -errno with
 * the file in @ret_program->binary: -ENOENT, -EACCES; -ELOOP: too many interpreters.
 */
int program_look(const char *name, struct program *ret_program);

/* "glibc", "musl", "an unknown libc"; "none" where it is static. */
const char *program_libc(const struct program *program);

/* Of this ELF file: @ret_machine and @ret_bits. Returns 0 or -errno, -ENOEXEC: it is none. */
int program_machine_of(const char *path, uint16_t *ret_machine, uint8_t *ret_bits);

/* "x86_64", "aarch64", ... */
const char *program_machine_name(uint16_t machine);

#endif
