// SPDX-License-Identifier: Apache-2.0
#include "engine/lifeline.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/libc_compat.h"
#include "base/raw_calls.h"
#include "base/raw_syscall.h"

static void close_end(int *fd)
{
	if (*fd >= 0)
		k8slb_raw_close(*fd);
	*fd = -1;
}

/* The folder is ours alone, so what has the name is either the FIFO or this user's own doing. */
static int open_end(int folder, const char *name, int access)
{
	int fd = openat(folder, name, access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd >= 0 && (k8slb_fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode)))
		close_end(&fd);
	return fd;
}

void lifeline_open(int folder, const char *name, struct lifeline *ret_line)
{
	/* Its umask may have taken away even our own rights. */
	if (raw_syscall(SYS_mknodat, folder, name, S_IFIFO | 0600, 0) == 0)
		raw_syscall(SYS_fchmodat, folder, name, 0600);
	*ret_line = (struct lifeline){
		.folder = folder,
		.reads = open_end(folder, name, O_RDONLY),
		.writes = -1,
	};
}

void lifeline_hold(struct lifeline *line, const char *name)
{
	struct stat reads, writes;

	if (line->writes < 0)
		line->writes = open_end(line->folder, name, O_WRONLY);
	/* It was removed and made anew: those who begin from now on look at the new one. */
	if (line->writes >= 0 &&
	    (line->reads < 0 || k8slb_fstat(line->reads, &reads) < 0 ||
	     k8slb_fstat(line->writes, &writes) < 0 || reads.st_ino != writes.st_ino)) {
		close_end(&line->reads);
		line->reads = open_end(line->folder, name, O_RDONLY);
	}
}

void lifeline_let_go(struct lifeline *line)
{
	close_end(&line->writes);
}

bool lifeline_is_cut(const struct lifeline *line)
{
	struct pollfd look = {.fd = line->reads};

	return line->reads < 0 || k8slb_raw_poll(&look, 1, 0) != 0;
}

void lifeline_wait(const struct lifeline *line, const struct interrupt *interrupt, int timeout_ms)
{
	struct pollfd fds[1 + INTERRUPT_FDS] = {{.fd = line->reads}};

	interrupt_fds(interrupt, &fds[1], &timeout_ms);
	k8slb_raw_poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
}

void lifeline_close(struct lifeline *line)
{
	close_end(&line->folder);
	close_end(&line->reads);
	close_end(&line->writes);
}
