// SPDX-License-Identifier: Apache-2.0
#include "kube/file.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/libc_compat.h"
#include "base/raw_calls.h"
#include "base/read_file.h"

/* A ConfigMap's file is a link to a file in a linked folder; more links than this are a loop. */
#define MAX_LINKS 8

/* Of a folder; what is written in the files of it is asked for of our file alone. A log may lie in
 * the same folder, even the one of this very process: each of its lines would wake us, and what we
 * say then would be the next. */
#define FOLDER_CHANGES \
	(IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)
/* Not IN_MODIFY: a file is read when its writer has closed it. */
#define FILE_CHANGES IN_CLOSE_WRITE

/* One step of the path: a change of any other name in the folder is none of ours. */
struct watched_name {
	int folder; /* inotify's watch descriptor */
	char *name;
};

struct file_watch {
	char *path;
	int inotify_fd;
	int wakeup_fd;
	struct watched_name names[2 * MAX_LINKS];
	unsigned name_count;
	int file; /* inotify's watch descriptor of what the path leads to; -1: there is none */
};

struct file_identity file_identify(const char *path)
{
	struct file_identity identity = {{0}};
	struct stat status;

	if (k8slb_stat(path, &status) == 0)
		identity = (struct file_identity){
			{(uint64_t)status.st_dev, (uint64_t)status.st_ino, (uint64_t)status.st_size,
			 (uint64_t)status.st_mtim.tv_sec, (uint64_t)status.st_mtim.tv_nsec,
			 (uint64_t)status.st_ctim.tv_sec, (uint64_t)status.st_ctim.tv_nsec}};
	return identity;
}

int file_read(const char *path, struct buffer *content)
{
	struct stat status;
	int fd = file_open(path);
	int rc = 0;

	if (fd < 0)
		return fd;
	if (k8slb_fstat(fd, &status) < 0)
		rc = -errno;
	else if (!S_ISREG(status.st_mode))
		rc = S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	if (rc == 0)
		rc = file_append(fd, content);
	k8slb_raw_close(fd);
	return rc;
}

const char *file_read_problem(int rc)
{
	if (rc == -E2BIG)
		return "larger than 1024 MiB";
	if (rc == -EINVAL)
		return "not a regular file";
	return strerror(-rc);
}

/* The folder that holds @path, in place. */
static void cut_last_part(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		strcpy(path, ".");
	else if (slash == path)
		path[1] = '\0';
	else
		*slash = '\0';
}

/* Where the link at @path points to, seen from its folder. Returns false when it is no link. */
static bool follow_link(char path[PATH_MAX])
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	size_t folder_length;

	if (length < 0)
		return false;
	target[length] = '\0';
	if (target[0] == '/') {
		strcpy(path, target);
		return true;
	}
	cut_last_part(path);
	folder_length = strlen(path);
	if (folder_length + 1 + (size_t)length >= PATH_MAX)
		return false;
	path[folder_length] = '/';
	strcpy(path + folder_length + 1, target);
	return true;
}

/* @path: folder and name of what is to be watched. */
static void watch_name(struct file_watch *watch, const char *path)
{
	struct watched_name *entry = &watch->names[watch->name_count];
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	strcpy(folder, path);
	cut_last_part(folder);
	entry->name = strdup(slash ? slash + 1 : path);
	/* A folder that is watched already keeps its descriptor. */
	entry->folder = inotify_add_watch(watch->inotify_fd, folder, FOLDER_CHANGES | IN_ONLYDIR);
	if (entry->name)
		watch->name_count++;
}

static void forget_names(struct file_watch *watch)
{
	while (watch->name_count)
		free(watch->names[--watch->name_count].name);
}

/* One that was replaced may live on elsewhere, and is not ours any more. */
static void watch_file(struct file_watch *watch)
{
	int file = inotify_add_watch(watch->inotify_fd, watch->path, FILE_CHANGES);

	if (watch->file >= 0 && watch->file != file)
		inotify_rm_watch(watch->inotify_fd, watch->file);
	watch->file = file;
}

/* Again after each change: links may lead elsewhere by now, and folders may have come into being.
 */
static void watch_steps(struct file_watch *watch)
{
	char path[PATH_MAX];

	forget_names(watch);
	if (strlen(watch->path) >= sizeof(path))
		return;
	strcpy(path, watch->path);
	for (int links = 0; links < MAX_LINKS; links++) {
		char folder[PATH_MAX];
		char target[PATH_MAX];

		watch_name(watch, path);
		/* "..data/services.json": the folder itself may be the link that is exchanged. */
		strcpy(folder, path);
		cut_last_part(folder);
		strcpy(target, folder);
		if (follow_link(target))
			watch_name(watch, folder);
		if (!follow_link(path))
			break;
	}
	watch_file(watch);
}

static bool is_ours(const struct file_watch *watch, const struct inotify_event *event)
{
	/* The end of a watch that we have left, or of the file's, whose folder says more. */
	if (event->mask & IN_IGNORED)
		return false;
	/* Our file was written, the queue overflowed, or a watched folder itself is gone. */
	if (event->len == 0)
		return true;
	for (unsigned i = 0; i < watch->name_count; i++) {
		if (watch->names[i].folder == event->wd &&
		    strcmp(watch->names[i].name, event->name) == 0)
			return true;
	}
	return false;
}

int file_watch_new(const char *path, struct file_watch **ret_watch)
{
	struct file_watch *watch = calloc(1, sizeof(*watch));
	int rc = -ENOMEM;

	if (!watch)
		return rc;
	watch->wakeup_fd = -1;
	watch->file = -1;
	watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->inotify_fd < 0)
		rc = -errno;
	else if ((watch->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		rc = -errno;
	else if ((watch->path = strdup(path)) != NULL)
		rc = 0;
	if (rc < 0) {
		file_watch_free(watch);
		return rc;
	}
	watch_steps(watch);
	*ret_watch = watch;
	return 0;
}

/* Reads all events; true when one of them is about our path. */
static bool read_events(const struct file_watch *watch)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;
	ssize_t got;

	while ((got = read(watch->inotify_fd, events, sizeof(events))) > 0) {
		for (const char *at = events; at < events + got;) {
			const struct inotify_event *event = (const void *)at;

			changed |= is_ours(watch, event);
			at += sizeof(*event) + event->len;
		}
	}
	return changed;
}

int file_watch_wait(struct file_watch *watch, int timeout_ms, const struct interrupt *interrupt)
{
	struct pollfd fds[2 + INTERRUPT_FDS] = {
		{.fd = watch->inotify_fd, .events = POLLIN},
		{.fd = watch->wakeup_fd, .events = POLLIN},
	};
	uint64_t wakeups;
	int ready;

	interrupt_fds(interrupt, &fds[2], &timeout_ms);
	ready = k8slb_raw_poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
	if (ready < 0 && errno != EINTR)
		return -errno;
	if (ready <= 0)
		return 0;
	if (fds[1].revents && read(watch->wakeup_fd, &wakeups, sizeof(wakeups)) < 0)
		return 0;
	if (!read_events(watch))
		return 0;
	watch_steps(watch);
	return 1;
}

void file_watch_wakeup(struct file_watch *watch)
{
	uint64_t one = 1;
	ssize_t written = write(watch->wakeup_fd, &one, sizeof(one));

	(void)written;
}

void file_watch_free(struct file_watch *watch)
{
	if (!watch)
		return;
	forget_names(watch);
	if (watch->inotify_fd >= 0)
		k8slb_raw_close(watch->inotify_fd);
	if (watch->wakeup_fd >= 0)
		k8slb_raw_close(watch->wakeup_fd);
	free(watch->path);
	free(watch);
}
