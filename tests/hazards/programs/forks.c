// SPDX-License-Identifier: Apache-2.0
/*
 * forks HOST PORT HOW [NUMBER]: forks without exec. Who is not said to do otherwise asks 6 times.
 *   threads NUMBER: after 3 questions so many threads fork at once, five times each. Every child
 *                   has a child of its own; every thread asks between its forks.
 *   storm NUMBER:   so many children within the first 30 ms after the first connect(), which
 *                   another thread makes. All ask 3 times, the parent once more at the end.
 *                   Then it prints "end" and stays, to be looked at, until SIGTERM.
 *   follow:         a thread forks, the child forks; both ask until "late" has answered.
 *   paused:         forks once preload/pause_engine.c has stopped the engine, and the child
 *                   forks. Without that library: after a question.
 *   paused-clone:   the same by the bare system call, without what libc does around fork().
 */
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "pods.h"

#define THREADS_MOST	 64
#define FORKS_PER_THREAD 5
#define STORM_US	 30000

static struct sockaddr_in vip;

static bool bare_clone;

/* Only what is async-signal-safe between fork() and _exit(): the process has threads. */
static pid_t child(void (*work)(void))
{
	pid_t pid = bare_clone ? (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L) : fork();

	if (pid == 0) {
		alarm(PODS_WATCHDOG_S);
		work();
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		pods_say("child", WIFSIGNALED(status) ? "ended by a signal" : "failed");
}

static void ask_as_grandchild(void)
{
	pods_ask(&vip, "grandchild", 6);
}

static void ask_as_child(void)
{
	pid_t pid = child(ask_as_grandchild);

	pods_ask(&vip, "child", 6);
	reap(pid);
}

static void ask_thrice(void)
{
	pods_ask(&vip, "child", 3);
}

static void *fork_and_ask(void *barrier)
{
	pid_t pids[FORKS_PER_THREAD];

	pthread_barrier_wait(barrier);
	for (int i = 0; i < FORKS_PER_THREAD; i++) {
		pids[i] = child(ask_as_child);
		pods_ask(&vip, "parent", 6);
	}
	for (int i = 0; i < FORKS_PER_THREAD; i++)
		reap(pids[i]);
	return NULL;
}

static void from_threads(int count)
{
	pthread_t threads[THREADS_MOST];
	pthread_barrier_t barrier;

	pods_ask(&vip, "parent", 3);
	pthread_barrier_init(&barrier, NULL, (unsigned)count);
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, fork_and_ask, &barrier);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

static void *ask_first(void *unused)
{
	pods_ask(&vip, "parent", 3);
	return unused;
}

static void *ask_quietly(void *unused)
{
	char name[64];

	pods_question(&vip, name, sizeof(name));
	return unused;
}

static void storm(int count)
{
	pid_t *pids = calloc((size_t)count, sizeof(*pids));
	sigset_t wanted;
	pthread_t thread;
	int number;

	srandom((unsigned)getpid());
	pthread_create(&thread, NULL, ask_first, NULL);
	for (int i = 0; i < count; i++) {
		pods_pause_us(random() % (2 * STORM_US / count));
		pids[i] = child(ask_thrice);
	}
	pthread_join(thread, NULL);
	for (int i = 0; i < count; i++)
		reap(pids[i]);
	pods_ask(&vip, "parent", 3);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigprocmask(SIG_BLOCK, &wanted, NULL);
	pods_say("end", "");
	sigwait(&wanted, &number);
	free(pids);
}

static void ask_until_late(const char *tag)
{
	char name[64];

	do {
		pods_question(&vip, name, sizeof(name));
		pods_pause_us(5000);
	} while (strcmp(name, "late\n") != 0);
	pods_say(tag, "followed");
}

static void follow_as_grandchild(void)
{
	ask_until_late("grandchild");
}

static void follow_as_child(void)
{
	pid_t pid = child(follow_as_grandchild);

	pods_say("child", "runs");
	ask_until_late("child");
	reap(pid);
}

static void *fork_and_wait(void *unused)
{
	reap(child(follow_as_child));
	return unused;
}

static void follow(void)
{
	pthread_t thread;

	pods_ask(&vip, "parent", 3);
	pthread_create(&thread, NULL, fork_and_wait, NULL);
	pthread_join(thread, NULL);
}

static void when_paused(void)
{
	uint32_t *paused = dlsym(RTLD_DEFAULT, "pause_engine_reached");
	pthread_t thread;

	pthread_create(&thread, NULL, ask_quietly, NULL);
	if (!paused)
		pthread_join(thread, NULL);
	while (paused && !__atomic_load_n(paused, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, paused, FUTEX_WAIT, 0, NULL, NULL, 0);
	reap(child(ask_as_child));
}

int main(int argc, char **argv)
{
	int number = argc > 4 ? atoi(argv[4]) : 0;

	if (argc < 4 || number > THREADS_MOST)
		return 2;
	vip = pods_address(argv[1], argv[2]);
	bare_clone = strcmp(argv[3], "paused-clone") == 0;
	if (strcmp(argv[3], "threads") == 0)
		from_threads(number);
	else if (strcmp(argv[3], "storm") == 0)
		storm(number);
	else if (strcmp(argv[3], "follow") == 0)
		follow();
	else
		when_paused();
	return 0;
}
