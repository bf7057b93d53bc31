// SPDX-License-Identifier: Apache-2.0
/* What of the kernel the library uses, and what a filter of system calls takes from it. */
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "checks.h"

/* Of arguments that mean nothing: EBADF is the kernel's own word, anything else a filter's. */
static int may_take_descriptors(void)
{
	syscall(SYS_pidfd_getfd, -1, -1, 0);
	return errno == EBADF ? 0 : -errno;
}

void check_kernel(struct patient *patient, struct finding *ret_finding)
{
	struct utsname kernel;
	int rc = may_take_descriptors();

	(void)patient;
	if (uname(&kernel) < 0)
		snprintf(kernel.release, sizeof(kernel.release), "not known");
	if (rc == 0)
		finding_ok(ret_finding, PROBLEM_KERNEL,
			   "Linux %s: a dead pod costs a connection K8SLB_CONNECT_TIMEOUT", kernel.release);
	else
		finding_ok(ret_finding, PROBLEM_KERNEL,
			   "Linux %s, pidfd_getfd: %s: a dead pod costs a connection "
			   "K8SLB_CONNECT_TIMEOUT in programs with threads, 1 s in others",
			   kernel.release, strerror(-rc));
}

static int filter_mode(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	int mode = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	if (file)
		fclose(file);
	return mode;
}

static bool may_share(void)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	if (id < 0)
		return false;
	shmctl(id, IPC_RMID, NULL);
	return true;
}

static bool may_list_sockets(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

void check_seccomp(struct patient *patient, struct finding *ret_finding)
{
	bool shares = may_share();
	bool lists = may_list_sockets();

	(void)patient;
	if (shares && lists) {
		finding_ok(ret_finding, PROBLEM_SECCOMP, "%s",
			   filter_mode() ? "a filter of system calls is there, and lets through what is needed"
					 : "no filter of system calls");
		return;
	}
	finding_warn(ret_finding, PROBLEM_SECCOMP, "%s may not be called here: %s",
		     !shares ? "shmget" : "socket(AF_NETLINK)",
		     !shares ? "each process keeps a table of its own and asks the API server itself"
			     : "a mesh's proxy is not noticed");
	finding_remedy(ret_finding, "use the runtime's default profile (seccompProfile: "
				    "RuntimeDefault), which lets it through");
}
