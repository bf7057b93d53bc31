// SPDX-License-Identifier: Apache-2.0
/*
 * Behind libk8slb.so in LD_PRELOAD: what that cannot expect. SURPRISE=
 *   sleep	the second connect() of a socket takes 3 s
 *   swap	another socket has taken its number meanwhile
 *   filter	connect(2) of a number above 1000 is answered by EFAULT where it comes from libk8slb.so
 *		itself; our thread has no such numbers
 *	slow	the second connect() of each socket takes 80 ms
 *	signal	SIGUSR1 comes during the second connect() of each socket
 * Once each; the last three for ever.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static uint64_t seen; /* the cookie of the socket that was connected last */
static int done;

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size);
	return cookie;
}

static int find_library(struct dl_phdr_info *object, size_t size, void *range)
{
	uintptr_t *ends = (uintptr_t *)range;

	(void)size;
	if (!strstr(object->dlpi_name, "libk8slb.so"))
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
			ends[0] = object->dlpi_addr + part->p_vaddr;
			ends[1] = ends[0] + part->p_memsz;
		}
	}
	return 1;
}

/* Runs before the constructor of libk8slb.so: those of LD_PRELOAD run from the last one on. */
__attribute__((constructor)) static void install(void)
{
	const char *what = getenv("SURPRISE");
	uintptr_t ends[2] = {0, 0};
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 8),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1000, 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, instruction_pointer)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EFAULT),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (!what || strcmp(what, "filter") != 0)
		return;
	dl_iterate_phdr(find_library, ends);
	code[5].k = (uint32_t)(ends[0] >> 32);
	code[7].k = (uint32_t)ends[0];
	code[8].k = (uint32_t)ends[1];
	if (!ends[0] || ends[0] >> 32 != ends[1] >> 32 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		_exit(3);
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	const char *what = getenv("SURPRISE");
	int (*next)(int, const struct sockaddr *, socklen_t);

	*(void **)&next = dlsym(RTLD_NEXT, "connect");
	if (what && seen == cookie_of(fd) && !__atomic_exchange_n(&done, 1, __ATOMIC_ACQ_REL)) {
		struct timespec pause = {.tv_sec = 3};

		if (strcmp(what, "slow") == 0) {
			pause = (struct timespec){.tv_nsec = 80000000};
			nanosleep(&pause, NULL);
			done = 0;
		} else if (strcmp(what, "sleep") == 0) {
			while (nanosleep(&pause, &pause) < 0)
				;
		} else if (strcmp(what, "swap") == 0) {
			int other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

			/* Past libc, where nobody waits for whoever acts on the number (shim/closing.h). */
			syscall(SYS_dup3, other, fd, 0);
			syscall(SYS_close, other);
			errno = ECONNREFUSED;
			return -1;
		} else {
			if (strcmp(what, "signal") == 0)
				raise(SIGUSR1);
			done = 0;
		}
	}
	seen = cookie_of(fd);
	return next(fd, address, length);
}
