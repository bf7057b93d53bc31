// SPDX-License-Identifier: Apache-2.0
/*
 * spawn HOST PORT HOW [COUNT]: other ways to a new process or program. The tag of a line says who
 * asked; each asks 6 times.
 *   exec:          fork(), and the child becomes "spawn HOST PORT ask".
 *   vfork-exec:    the same by vfork(). posix_spawn: by that.
 *   vfork-first:   a vfork() child asks before its parent ever did. vfork-later: after it.
 *   clone:         a child by the bare system call, without what libc does around fork(). "threads
 * N" says how many it has when it has asked. exec-load:     this program becomes itself COUNT times
 * while 4 threads connect. ask:           only asks, as "program".
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "pods.h"

extern char **environ;

static struct sockaddr_in vip;
static char **arguments;

static void become(const char *how, const char *count)
{
	char *args[] = {arguments[0],
			arguments[1],
			arguments[2],
			(char *)(uintptr_t)how,
			(char *)(uintptr_t)count,
			NULL};

	execv(args[0], args);
	_exit(4);
}

static void reap(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		pods_say("child", WIFSIGNALED(status) ? "ended by a signal" : "failed");
}

static void by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		become("ask", NULL);
	reap(pid);
}

/* POSIX allows only _exit() and exec in the child; programs connect there all the same. */
static void by_vfork(bool ask)
{
	pid_t pid = vfork();

	if (pid == 0) {
		if (!ask)
			become("ask", NULL);
		pods_ask(&vip, "vfork", 6);
		_exit(0);
	}
	reap(pid);
}

static void by_posix_spawn(void)
{
	char ask[] = "ask";
	char *args[] = {arguments[0], arguments[1], arguments[2], ask, NULL};
	pid_t pid;

	if (posix_spawn(&pid, args[0], NULL, NULL, args, environ) == 0)
		reap(pid);
}

/* By the link count of the folder: opendir() would allocate, and the engine's thread of the parent
 * may have held the allocator's lock when the child was made. */
static void say_threads(void)
{
	struct stat tasks;
	char count[2] = "";

	if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink - 2 < 10) {
		count[0] = (char)('0' + tasks.st_nlink - 2);
		pods_say("threads", count);
	}
}

static void by_clone(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);

	if (pid == 0) {
		pods_ask(&vip, "clone", 6);
		say_threads();
		_exit(0);
	}
	reap(pid);
}

static void *ask_for_ever(void *unused)
{
	char name[64];

	for (;;)
		pods_question(&vip, name, sizeof(name));
	return unused;
}

static void exec_under_load(int count)
{
	pthread_t thread;
	char left[16];

	pods_ask(&vip, "program", 1);
	if (count == 0) {
		pods_say("last", "image");
		return;
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, ask_for_ever, NULL);
	srandom((unsigned)count);
	pods_pause_us(random() % 20000);
	snprintf(left, sizeof(left), "%d", count - 1);
	become("exec-load", left);
}

int main(int argc, char **argv)
{
	const char *how = argc > 3 ? argv[3] : "";

	if (argc < 4)
		return 2;
	arguments = argv;
	vip = pods_address(argv[1], argv[2]);
	if (strcmp(how, "ask") == 0) {
		pods_ask(&vip, "program", 6);
		return 0;
	}
	if (strcmp(how, "exec-load") == 0) {
		exec_under_load(argc > 4 ? atoi(argv[4]) : 0);
		return 0;
	}
	if (strcmp(how, "vfork-first") != 0)
		pods_ask(&vip, "before", 6);
	if (strcmp(how, "exec") == 0)
		by_fork();
	else if (strcmp(how, "posix_spawn") == 0)
		by_posix_spawn();
	else if (strcmp(how, "clone") == 0)
		by_clone();
	else
		by_vfork(strcmp(how, "vfork-exec") != 0);
	pods_ask(&vip, "after", 6);
	return 0;
}
