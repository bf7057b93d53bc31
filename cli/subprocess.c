// SPDX-License-Identifier: Apache-2.0
#include "subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(const char *const *argv, int output, int errors, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	union {
		const char *const *constant;
		char *const *words; /* posix_spawnp(3) changes none of them */
	} arguments = {.constant = argv};
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc)
		return -rc;
	rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
	if (!rc)
		rc = posix_spawnp(ret_pid, argv[0], &actions, NULL, arguments.words, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* Both at once: a program that fills one of two pipes waits for its reader. */
static void read_both(int output_fd, struct buffer *output, int errors_fd, struct buffer *errors)
{
	struct pollfd polled[2] = {{output_fd, POLLIN, 0}, {errors_fd, POLLIN, 0}};
	struct buffer *const buffers[2] = {output, errors};
	unsigned open = 2;

	while (open && (poll(polled, 2, -1) >= 0 || errno == EINTR)) {
		for (int i = 0; i < 2; i++) {
			char text[4096];
			ssize_t got;

			if (polled[i].fd < 0 || !polled[i].revents)
				continue;
			got = read(polled[i].fd, text, sizeof(text));
			if (got > 0) {
				buffer_append(buffers[i], text, (size_t)got);
			} else if (got == 0 || errno != EINTR) {
				polled[i].fd = -1;
				open--;
			}
		}
	}
}

int subprocess_read(const char *const *argv, struct buffer *output, struct buffer *errors,
		    int *ret_status)
{
	int out[2], err[2];
	pid_t pid;
	int rc;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(err, O_CLOEXEC) < 0) {
		rc = -errno;
		close(out[0]);
		close(out[1]);
		return rc;
	}
	rc = spawn(argv, out[1], err[1], &pid);
	close(out[1]);
	close(err[1]);
	if (rc == 0) {
		read_both(out[0], output, err[0], errors);
		while (waitpid(pid, ret_status, 0) < 0 && rc == 0) {
			if (errno != EINTR)
				rc = -errno;
		}
	}
	close(out[0]);
	close(err[0]);
	return rc;
}

void subprocess_last_line(const struct buffer *errors, char *line, size_t size)
{
	size_t end = errors->length;
	size_t begin;

	while (end && strchr("\r\n", errors->data[end - 1]))
		end--;
	begin = end;
	while (begin && errors->data[begin - 1] != '\n')
		begin--;
	snprintf(line, size, "%.*s", (int)(end - begin), errors->data ? errors->data + begin : "");
}
