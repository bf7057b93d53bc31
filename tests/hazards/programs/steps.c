// SPDX-License-Identifier: Apache-2.0
/*
 * steps VIP PORT STEP...: does one thing after the other, and prints "STEP RESULT" for each:
 * "done", the pod that answered, or the number of the error.
 *   ask             one connection
 *   chroot:DIR      and there chdir("/")
 *   filter:CALL     a seccomp filter of this thread alone: EPERM for setgroups, setgid or setuid
 *   no_new_privs    of this thread
 *   capset          gives up all capabilities but those to change ids
 *   raw_setuid      setresuid(2) to NOBODY by the bare system call: of this thread alone
 *   setgroups, setgid, setuid: to NOBODY, by libc
 *   setns:FILE      into the namespace of this file
 *   unshare_user    unshare(CLONE_NEWUSER)
 *   mlockall        MCL_FUTURE
 *   locked          KiB of locked memory
 *   threads         how many the process has
 *   libraries       how many pieces of them are mapped
 *   rest            until it is killed
 *   release         lets the thread go on that preload/pause_engine.c has stopped
 *   balanced        asks until another one than "vip" answers
 *   create          a thread with 1 MiB of stack, and 1 MiB of memory
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <fcntl.h>

#include "filter.h"
#include "pods.h"

#define NOBODY 65534

static struct sockaddr_in vip;

static int filter(const char *name)
{
	const struct filter_rule rule = {
		.call = strcmp(name, "setgroups") == 0 ? SYS_setgroups
			: strcmp(name, "setgid") == 0  ? SYS_setgid
						       : SYS_setuid,
		.action = SECCOMP_RET_ERRNO | EPERM,
	};

	return filter_install(&rule, 1, SECCOMP_RET_ALLOW, 0);
}

static int keep_changing_ids(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct few[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = 1u << CAP_SETUID | 1u << CAP_SETGID,
		 .permitted = 1u << CAP_SETUID | 1u << CAP_SETGID}};

	return (int)syscall(SYS_capset, &header, few);
}

static int enter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : setns(fd, 0);

	if (fd >= 0)
		close(fd);
	return rc;
}

static int count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int count = -2;

	while (tasks && readdir(tasks))
		count++;
	if (tasks)
		closedir(tasks);
	return count;
}

static int count_libraries(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096];
	int count = 0;

	while (maps && fgets(line, sizeof(line), maps))
		count += strstr(line, ".so") != NULL;
	if (maps)
		fclose(maps);
	return count;
}

static int locked_kib(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	int kib = -1;

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmLck: %d", &kib);
	if (status)
		fclose(status);
	return kib;
}

static void *idle(void *unused)
{
	return unused;
}

static int create(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 1u << 20);
	rc = pthread_create(&thread, &attributes, idle, NULL);
	if (rc == 0)
		rc = pthread_join(thread, NULL);
	free(malloc(1u << 20));
	errno = rc;
	return rc ? -1 : 0;
}

static int release(void)
{
	uint32_t *word = dlsym(RTLD_DEFAULT, "pause_engine_reached");

	if (!word)
		exit(2);
	__atomic_store_n(word, 2, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	return 0;
}

static void ask_until_balanced(char *result, size_t size)
{
	while (pods_question(&vip, result, size), strncmp(result, "vip", 3) == 0)
		usleep(1000);
}

static int step(const char *what, const char *argument)
{
	if (strcmp(what, "chroot") == 0)
		return chroot(argument) == 0 ? chdir("/") : -1;
	if (strcmp(what, "filter") == 0)
		return filter(argument);
	if (strcmp(what, "no_new_privs") == 0)
		return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (strcmp(what, "capset") == 0)
		return keep_changing_ids();
	if (strcmp(what, "raw_setuid") == 0)
		return (int)syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY);
	if (strcmp(what, "setgroups") == 0)
		return setgroups(0, NULL);
	if (strcmp(what, "setgid") == 0)
		return setgid(NOBODY);
	if (strcmp(what, "setuid") == 0)
		return setuid(NOBODY);
	if (strcmp(what, "setns") == 0)
		return enter(argument);
	if (strcmp(what, "unshare_user") == 0)
		return unshare(CLONE_NEWUSER);
	if (strcmp(what, "mlockall") == 0)
		return mlockall(MCL_FUTURE);
	if (strcmp(what, "rest") == 0)
		return pause();
	if (strcmp(what, "release") == 0)
		return release();
	if (strcmp(what, "create") == 0)
		return create();
	exit(2);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	vip = pods_address(argv[1], argv[2]);
	for (int i = 3; i < argc; i++) {
		char what[64];
		char result[64] = "done";
		char *colon;

		snprintf(what, sizeof(what), "%.*s", (int)strcspn(argv[i], ":"), argv[i]);
		colon = strchr(argv[i], ':');
		if (strcmp(what, "ask") == 0)
			pods_question(&vip, result, sizeof(result));
		else if (strcmp(what, "balanced") == 0)
			ask_until_balanced(result, sizeof(result));
		else if (strcmp(what, "threads") == 0)
			snprintf(result, sizeof(result), "%d", count_threads());
		else if (strcmp(what, "locked") == 0)
			snprintf(result, sizeof(result), "%d", locked_kib());
		else if (strcmp(what, "libraries") == 0)
			snprintf(result, sizeof(result), "%d", count_libraries());
		else if (step(what, colon ? colon + 1 : "") != 0)
			snprintf(result, sizeof(result), "%d", errno);
		pods_say(what, result);
	}
	return 0;
}
