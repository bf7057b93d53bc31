// SPDX-License-Identifier: Apache-2.0
/* k8slb copy: puts the library and the command where a Pod's other containers find them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/read_file.h"
#include "cli.h"

#define COMMAND "copy"

/* In the image they lie side by side, as in a build folder. */
static const char *const files[] = {"libk8slb.so", "k8slb"};

#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

/* The directory of this program. Returns a descriptor or -errno. */
static int own_directory(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	int fd;

	if (length < 0)
		return -errno;
	path[length] = '\0';
	/* It is absolute. Of "/k8slb", as in the image, "/" is left. */
	strrchr(path, '/')[1] = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Returns a descriptor or -errno. */
static int open_source(const char *from)
{
	int fd;

	if (!from)
		return own_directory();
	fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Returns a descriptor or -errno. */
static int open_target(const char *path)
{
	int fd;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		size -= (size_t)written;
	}
	return 0;
}

static int copy_content(int source, int target)
{
	char data[65536];
	ssize_t size;
	int rc;

	do {
		size = file_fill(source, data, sizeof(data));
		if (size < 0)
			return (int)size;
		rc = write_all(target, data, (size_t)size);
		if (rc < 0)
			return rc;
	} while (size == sizeof(data));
	/* Of any umask: another user runs the programs. */
	return fchmod(target, 0755) < 0 ? -errno : 0;
}

/* Under a name of its own first, then by rename(2): an init container that runs again finds
 * programs that have the old file mapped, and those would end by SIGBUS, or run half of each, if it
 * were written over. */
static int copy_file(int from, int to, const char *name)
{
	char temporary[NAME_MAX];
	int source = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int target;
	int rc;

	if (source < 0)
		return -errno;
	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	/* Of a run that was killed. Exclusive: in a volume that others write to no link is followed. */
	unlinkat(to, temporary, 0);
	target = openat(to, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	rc = target < 0 ? -errno : copy_content(source, target);
	if (target >= 0 && close(target) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && renameat(to, temporary, to, name) < 0)
		rc = -errno;
	if (rc < 0 && target >= 0)
		unlinkat(to, temporary, 0);
	close(source);
	return rc;
}

static int copy_files(const char *from, const char *path)
{
	int source = open_source(from);
	int target = source < 0 ? source : open_target(path);
	int rc = target;

	if (source < 0)
		cli_error(COMMAND, "name by --from where libk8slb.so and k8slb are", "%s: %s",
			  from ? from : "/proc/self/exe", strerror(-source));
	else if (target < 0)
		cli_error(COMMAND, "mount a volume there that this user may write to", "%s: %s",
			  path, strerror(-target));
	for (size_t i = 0; rc >= 0 && i < FILE_COUNT; i++) {
		rc = copy_file(source, target, files[i]);
		if (rc < 0)
			cli_error(COMMAND,
				  rc == -ENOENT
					  ? "name by --from where libk8slb.so and k8slb are"
					  : "the volume must have 12 MiB, and let this user write",
				  "%s to %s: %s", files[i], path, strerror(-rc));
	}
	if (target >= 0)
		close(target);
	if (source >= 0)
		close(source);
	return rc < 0 ? CLI_FAILED : CLI_DONE;
}

static int run(int argc, char **argv)
{
	struct cli_parse parse;
	const char *from = NULL;
	int option;

	cli_parse_begin(&parse, &copy_command, argc, argv);
	while ((option = cli_next_option(&parse)) != -1) {
		switch (option) {
		case 'f':
			from = optarg;
			break;
		case 'h':
			return cli_help(&copy_command);
		default:
			return CLI_USAGE;
		}
	}
	if (optind >= argc) {
		cli_error(COMMAND, "name the one to copy into", "a directory is missing");
		return CLI_USAGE;
	}
	if (optind + 1 < argc)
		return cli_unexpected(&copy_command, argv[optind + 1]);
	return copy_files(from, argv[optind]);
}

static const struct cli_option copy_options[] = {
	{"from", 'f', "DIR", "DIR", "where they are; default: where k8slb itself is"},
	{0},
};

const struct cli_command copy_command = {
	.name = COMMAND,
	.summary = "put the library into a volume of the Pod",
	.run = run,
	.usage = "[OPTION]... DIR",
	.about = "Copy libk8slb.so and k8slb itself into DIR, which is made when it is missing:\n"
		 "for an init container and a volume that the other containers mount.",
	.options = copy_options,
	.end = "Exit status: 0 done, 1 a file could not be copied, 2 wrong command line.",
	.words = "DIR",
};
