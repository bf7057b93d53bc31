// SPDX-License-Identifier: Apache-2.0
/*
 * hook_steps: goes through one call of each intercepted function, instruction by instruction, and
 * prints for each the functions that libk8slb.so called and how many instructions lay in it.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define PROGRAM_COUNTER rip
#else
#define PROGRAM_COUNTER pc
#endif

static struct {
	uintptr_t begin, end;
} library;

static int find_library(struct dl_phdr_info *object, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	if (!strstr(object->dlpi_name, "libk8slb.so"))
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
			library.begin = object->dlpi_addr + part->p_vaddr;
			library.end = library.begin + part->p_memsz;
		}
	}
	return 1;
}

static struct sockaddr_in nobody(void)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void call_connect(void)
{
	struct sockaddr_in address = nobody();

	connect(-1, (struct sockaddr *)&address, sizeof(address));
}

static void call_getpeername(void)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	getpeername(-1, (struct sockaddr *)&address, &size);
}

static void call_getaddrinfo(void)
{
	struct addrinfo *list;

	if (getaddrinfo("127.0.0.1", NULL, NULL, &list) == 0)
		freeaddrinfo(list);
}

static void call_gethostbyname(void)
{
	gethostbyname("127.0.0.1");
}

static void call_gethostbyname2(void)
{
	gethostbyname2("127.0.0.1", AF_INET);
}

static void call_gethostbyname_r(void)
{
	char buffer[1024];
	struct hostent host, *found;
	int error;

	gethostbyname_r("127.0.0.1", &host, buffer, sizeof(buffer), &found, &error);
}

static void call_gethostbyname2_r(void)
{
	char buffer[1024];
	struct hostent host, *found;
	int error;

	gethostbyname2_r("127.0.0.1", AF_INET, &host, buffer, sizeof(buffer), &found, &error);
}

static void call_getsockopt(void)
{
	int error;
	socklen_t size = sizeof(error);

	getsockopt(-1, SOL_SOCKET, SO_ERROR, &error, &size);
}

static void call_poll(void)
{
	poll(NULL, 0, 0);
}

static void call_select(void)
{
	struct timeval none = {0, 0};

	select(0, NULL, NULL, NULL, &none);
}

static void call_epoll_wait(void)
{
	struct epoll_event event;

	epoll_wait(-1, &event, 1, 0);
}

static const struct {
	const char *name;
	void (*call)(void);
} calls[] = {
	{"connect", call_connect},
	{"getpeername", call_getpeername},
	{"getaddrinfo", call_getaddrinfo},
	{"gethostbyname", call_gethostbyname},
	{"gethostbyname2", call_gethostbyname2},
	{"gethostbyname_r", call_gethostbyname_r},
	{"gethostbyname2_r", call_gethostbyname2_r},
	{"getsockopt", call_getsockopt},
	{"poll", call_poll},
	{"select", call_select},
	{"epoll_wait", call_epoll_wait},
};

static uintptr_t program_counter(pid_t child)
{
	struct user_regs_struct registers;
	struct iovec place = {&registers, sizeof(registers)};

	if (ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &place) < 0)
		return 0;
	return registers.PROGRAM_COUNTER;
}

/* The function of another library at this address, or NULL when it lies in this program. A child of
 * fork() has its objects where its parent has them. */
static const char *function_at(uintptr_t address)
{
	union {
		uintptr_t number;
		void *pointer;
	} at = {address};
	Dl_info there, here;

	if (!dladdr(at.pointer, &there) || !dladdr(calls, &here) ||
	    there.dli_fbase == here.dli_fbase)
		return NULL;
	return there.dli_sname ? there.dli_sname : "?";
}

static int step_through(const char *name, void (*call)(void))
{
	unsigned steps = 0;
	bool was_inside = false;
	int status;
	pid_t child;

	call(); /* binds the symbol */
	fflush(stdout);
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		call();
		raise(SIGSTOP);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return -1;
	printf("%s:", name);
	for (;;) {
		uintptr_t at;
		bool inside;

		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) < 0 ||
		    waitpid(child, &status, 0) != child)
			return -1;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			break;
		at = program_counter(child);
		inside = at >= library.begin && at < library.end;
		steps += inside;
		/* The first stop outside after one inside: a call, or the return to this program.
		 */
		if (was_inside && !inside && function_at(at))
			printf(" %s", function_at(at));
		was_inside = inside;
	}
	printf(" %u\n", steps);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return 0;
}

int main(void)
{
	dl_iterate_phdr(find_library, NULL);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (step_through(calls[i].name, calls[i].call) < 0) {
			perror(calls[i].name);
			return 1;
		}
	}
	return 0;
}
