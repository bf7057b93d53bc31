// SPDX-License-Identifier: Apache-2.0
/*
 * plugins HOST PORT STEP...: a program that opens libraries with RTLD_DEEPBIND, as PHP does, and
 * lets them connect (tests/hazards/preload/dialing_library.c). Each step prints a line of its own:
 *   lazy:FILE   opens it, bound at the first call of each function; later steps are about it
 *   now:FILE    the same, bound at once
 *   plain:FILE  the same without RTLD_DEEPBIND
 *   dial        the library connects: "library POD"
 *   own         the program does: "program POD"
 *   tell        "tells TEXT", by its tell()
 *   mapped      "mapped RIGHTS SIZE" for each part of it in memory
 *   close
 *   again:N:FILE    N times lazy, dial and close
 *   threads:N:FILE  FILE.0 ... FILE.7, each by a thread that does the same as again:N
 *   sealed      from now on nothing becomes writable by mprotect()
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "dial.h"

#define THREADS 8

static const char *host, *port;

static void *open_with(const char *file, int flags)
{
	void *library = dlopen(file, flags);

	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		exit(3);
	}
	return library;
}

static void let_dial(void *library)
{
	/* A union, because ISO C has no cast between object and function pointers. */
	union {
		void *object;
		int (*call)(const char *host, int port, char *name, size_t size);
	} dials = {.object = dlsym(library, "dial_from_library")};
	char name[DIAL_NAME_SIZE];
	int rc = dials.call(host, atoi(port), name, sizeof(name));

	if (rc < 0)
		snprintf(name, sizeof(name), "error %d", -rc);
	dial_tell("library", name);
}

static void let_tell(void *library)
{
	union {
		void *object;
		const char *(*call)(void);
	} tells = {.object = dlsym(library, "tell")};

	dial_tell("tells", tells.call());
}

static void open_again(const char *file, int count)
{
	for (int i = 0; i < count; i++) {
		void *library = open_with(file, RTLD_LAZY | RTLD_DEEPBIND);

		let_dial(library);
		dlclose(library);
	}
}

struct one_thread {
	pthread_t thread;
	char file[512];
	int count;
};

static void *run_thread(void *arg)
{
	const struct one_thread *one = arg;

	open_again(one->file, one->count);
	return NULL;
}

static void open_in_threads(const char *file, int count)
{
	static struct one_thread threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		snprintf(threads[i].file, sizeof(threads[i].file), "%s.%d", file, i);
		threads[i].count = count;
		if (pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]) != 0)
			exit(4);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i].thread, NULL);
}

static void tell_mapped(void *library)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[1024], rights[8], path[512], text[DIAL_NAME_SIZE];
	unsigned long start, end;
	Dl_info info;

	dladdr(dlsym(library, "dial_from_library"), &info);
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %511s", &start, &end, rights, path) ==
			    4 &&
		    strcmp(path, info.dli_fname) == 0) {
			snprintf(text, sizeof(text), "%s %lu", rights, end - start);
			dial_tell("mapped", text);
		}
	}
	if (maps)
		fclose(maps);
}

/* As a policy that lets nobody undo what the loader has made read-only. */
static void seal(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		exit(5);
}

/* What follows the words of the step, or NULL. */
static const char *after(const char *step, const char *words)
{
	return strncmp(step, words, strlen(words)) == 0 ? step + strlen(words) : NULL;
}

/* N:FILE */
static const char *read_count(const char *text, int *ret_count)
{
	char *end;

	*ret_count = (int)strtol(text, &end, 10);
	return end + 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address;
	void *library = NULL;
	const char *rest;
	int count;

	if (argc < 4)
		return 2;
	host = argv[1];
	port = argv[2];
	address = dial_address(host, port);
	for (int i = 3; i < argc; i++) {
		if ((rest = after(argv[i], "lazy:")))
			library = open_with(rest, RTLD_LAZY | RTLD_DEEPBIND);
		else if ((rest = after(argv[i], "now:")))
			library = open_with(rest, RTLD_NOW | RTLD_DEEPBIND);
		else if ((rest = after(argv[i], "plain:")))
			library = open_with(rest, RTLD_LAZY);
		else if (strcmp(argv[i], "dial") == 0)
			let_dial(library);
		else if (strcmp(argv[i], "own") == 0)
			dial_and_tell("program", &address);
		else if (strcmp(argv[i], "tell") == 0)
			let_tell(library);
		else if (strcmp(argv[i], "mapped") == 0)
			tell_mapped(library);
		else if (strcmp(argv[i], "close") == 0)
			dlclose(library);
		else if (strcmp(argv[i], "sealed") == 0)
			seal();
		else if ((rest = after(argv[i], "again:"))) {
			rest = read_count(rest, &count);
			open_again(rest, count);
		} else if ((rest = after(argv[i], "threads:"))) {
			rest = read_count(rest, &count);
			open_in_threads(rest, count);
		} else {
			return 2;
		}
	}
	return 0;
}
