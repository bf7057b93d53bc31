// SPDX-License-Identifier: Apache-2.0
/*
 * Three processes. The one that becomes the program; its child, which ends at once, so that the
 * program has no child that it did not make; the keeper, the child's child, which runs kubectl and
 * waits for the end of the program (by its pidfd) or of kubectl.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kubectl.h"

#define START_MS 30000
#define NAME	 "k8slb-proxy"

/* Every method but GET. */
#define REJECT_METHODS "^(POST|PUT|PATCH|DELETE|HEAD|OPTIONS|TRACE|CONNECT)$"
#define IN_NAMESPACE   "(namespaces/[^/]+/)?"
#define ACCEPT_PATHS                                             \
	"^/api/v1/" IN_NAMESPACE "(services|endpoints)$,"        \
	"^/apis/discovery[.]k8s[.]io/v1/" IN_NAMESPACE "endpointslices$"

static const char serving[] = "Starting to serve on 127.0.0.1:";

/* ---- the keeper ---- */

struct keeper {
	int program; /* pidfd */
	int report;  /* one line: the port, or why there is none; -1 after it */
	int output;  /* of kubectl */
	pid_t kubectl;
	char text[1024]; /* what kubectl said until it served */
	size_t length;
};

/* The caller's descriptors are not to be kept open by us: a pipe of which it waits for the end. */
static void close_all_but(int first, int second)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		int fd = atoi(entry->d_name);

		if (fd > STDERR_FILENO && fd != first && fd != second && fd != dirfd(folder))
			close(fd);
	}
	if (folder)
		closedir(folder);
}

/* The words by which the program was started stand in the process list here, too: who looks for the
 * program by them, as pkill -f does, would find us. proc_pid_stat(5): fields 48 and 49. */
static void forget_command_line(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char line[1024];
	unsigned long begin = 0, end = 0;
	const char *field;

	if (!file)
		return;
	field = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	for (int number = 2; field && number < 48; number++) {
		field = strchr(field + 1, ' ');
		if (field && number == 47)
			sscanf(field, "%lu %lu", &begin, &end);
	}
	fclose(file);
	if (begin && end - begin > sizeof(NAME)) {
		char *words = (char *)(uintptr_t)begin; /* our own argv[0] and on */

		memset(words, 0, end - begin);
		strcpy(words, NAME);
	}
}

static void use_no_terminal(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

static int start_kubectl(struct keeper *keeper, const char *context)
{
	const char *argv[] = {"kubectl", "proxy", "--address=127.0.0.1", "--port=0",
			      "--reject-methods=" REJECT_METHODS, "--accept-paths=" ACCEPT_PATHS,
			      context[0] ? "--context" : NULL, context, NULL};
	union {
		const char *const *constant;
		char *const *words;
	} arguments = {.constant = argv};
	pid_t parent = getpid();
	int pipe_ends[2];

	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		return -errno;
	keeper->kubectl = fork();
	if (keeper->kubectl < 0)
		return -errno;
	if (keeper->kubectl == 0) {
		/* Whoever kills the keeper ends the proxy too. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		dup2(pipe_ends[1], STDOUT_FILENO);
		dup2(pipe_ends[1], STDERR_FILENO);
		execvp(argv[0], arguments.words);
		_exit(127);
	}
	close(pipe_ends[1]);
	keeper->output = pipe_ends[0];
	return 0;
}

static void report(struct keeper *keeper, const char *line)
{
	if (keeper->report < 0)
		return;
	/* Where nobody reads it any more the program has ended. */
	if (write(keeper->report, line, strlen(line)) < 0)
		return;
	close(keeper->report);
	keeper->report = -1;
}

/* False: kubectl closed it, so it ends. */
static bool take_output(struct keeper *keeper)
{
	char dropped[512];
	size_t room = sizeof(keeper->text) - 1 - keeper->length;
	const char *found;
	ssize_t got = read(keeper->output, room && keeper->report >= 0 ? keeper->text + keeper->length : dropped,
			   room && keeper->report >= 0 ? room : sizeof(dropped));

	if (got <= 0)
		return got < 0 && errno == EINTR;
	if (keeper->report < 0 || !room)
		return true;
	keeper->length += (size_t)got;
	keeper->text[keeper->length] = '\0';
	found = strstr(keeper->text, serving);
	if (found && strchr(found, '\n'))
		report(keeper, found + strlen(serving));
	return true;
}

static void keep(struct keeper *keeper, const char *context)
{
	struct pollfd polled[2] = {{keeper->program, POLLIN, 0}, {-1, POLLIN, 0}};
	int left;

	setsid(); /* Ctrl-C is the program's; it may do something else than end */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_NAME, NAME);
	forget_command_line();
	close_all_but(keeper->program, keeper->report);
	use_no_terminal();
	if (start_kubectl(keeper, context) < 0) {
		report(keeper, "-no process\n");
		_exit(1);
	}
	/* Not before: what KUBECONFIG and PATH say may be relative. Else a folder stays in use. */
	left = chdir("/");
	(void)left;
	polled[1].fd = keeper->output;
	while (poll(polled, 2, -1) >= 0 || errno == EINTR) {
		if (polled[0].revents || (polled[1].revents && !take_output(keeper)))
			break;
	}
	kill(keeper->kubectl, SIGKILL);
	waitpid(keeper->kubectl, NULL, 0);
	if (keeper->report >= 0) {
		char line[sizeof(keeper->text) + 2];

		snprintf(line, sizeof(line), "-%s\n",
			 keeper->length ? keeper->text : "it could not be started");
		report(keeper, line);
	}
	_exit(0);
}

/* ---- the one that becomes the program ---- */

/* In the child. */
static void start_keeper(struct keeper *keeper, const char *context)
{
	if (fork() == 0)
		keep(keeper, context);
	_exit(0);
}

/* Returns its length, or -errno. */
static int read_report(int fd, char *line, size_t size)
{
	struct pollfd polled = {fd, POLLIN, 0};
	size_t length = 0;
	ssize_t got = 1;

	while (got > 0 && length < size - 1) {
		if (poll(&polled, 1, START_MS) <= 0)
			return -ETIMEDOUT;
		got = read(fd, line + length, size - 1 - length);
		length += got > 0 ? (size_t)got : 0;
	}
	line[length] = '\0';
	return (int)length;
}

static int take_report(char *line, int rc, uint16_t *ret_port, char *error, size_t error_size)
{
	int port = rc > 0 ? atoi(line) : 0;

	if (port > 0 && port <= UINT16_MAX) {
		*ret_port = (uint16_t)port;
		return 0;
	}
	line[strcspn(line, "\n")] = '\0';
	snprintf(error, error_size, "kubectl proxy: %s",
		 rc < 0	     ? strerror(-rc)
		 : line[0] == '-' ? line + 1
				  : "it does not say where it serves");
	return -EIO;
}

int kubectl_proxy(const char *context, uint16_t *ret_port, char *error, size_t error_size)
{
	struct keeper keeper = {.report = -1, .output = -1};
	int report_ends[2];
	char line[2048];
	pid_t child;
	int rc;

	keeper.program = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (keeper.program < 0) {
		rc = -errno;
		snprintf(error, error_size, "pidfd_open: %s, so nothing could end kubectl proxy",
			 strerror(-rc));
		return rc;
	}
	if (pipe2(report_ends, O_CLOEXEC) < 0) {
		rc = -errno;
		snprintf(error, error_size, "pipe: %s", strerror(-rc));
		close(keeper.program);
		return rc;
	}
	keeper.report = report_ends[1];
	child = fork();
	rc = child < 0 ? -errno : 0;
	if (child == 0)
		start_keeper(&keeper, context);
	close(keeper.program);
	close(report_ends[1]);
	if (child > 0) {
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		rc = read_report(report_ends[0], line, sizeof(line));
		rc = take_report(line, rc, ret_port, error, error_size);
	} else {
		snprintf(error, error_size, "no process: %s", strerror(-rc));
	}
	close(report_ends[0]);
	return rc;
}
