// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/read_file.h"
#include "program_elf.h"

#define LINE_SIZE 512

/* ---- where it is ---- */

static int check_executable(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || access(path, X_OK) < 0)
		return -EACCES;
	return 0;
}

/* As execvp(3): a file that may not be run is passed over, and told when there is no other. */
static int find(const char *name, char path[PATH_MAX])
{
	const char *folders = getenv("PATH");
	int rc = -ENOENT;

	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return check_executable(path);
	}
	if (!*name)
		return -ENOENT;
	if (!folders)
		folders = "/bin:/usr/bin";
	for (const char *folder = folders;; folder++) {
		int length = (int)strcspn(folder, ":");
		int size = snprintf(path, PATH_MAX, "%.*s%s%s", length, folder, length ? "/" : "./",
				    name);
		int found = size < PATH_MAX ? check_executable(path) : -ENOENT;

		if (found == 0)
			return 0;
		if (found == -EACCES)
			rc = -EACCES;
		folder += length;
		if (!*folder)
			break;
	}
	snprintf(path, PATH_MAX, "%s", name);
	return rc;
}

/* ---- what runs it ---- */

/* The interpreter of a "#!" line. env(1) stands for the program that it looks for. Returns false where there is
 * none. */
static bool read_interpreter(char *line, char name[PATH_MAX])
{
	char *save = NULL;
	char *word;

	if (strncmp(line, "#!", 2) != 0)
		return false;
	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line + 2, " \t", &save);
	if (!word)
		return false;
	snprintf(name, PATH_MAX, "%s", word);
	if (strcmp(strrchr(word, '/') ? strrchr(word, '/') + 1 : word, "env") != 0)
		return true;
	/* -S, NAME=VALUE */
	do {
		word = strtok_r(NULL, " \t", &save);
	} while (word && (*word == '-' || strchr(word, '=')));
	if (word)
		snprintf(name, PATH_MAX, "%s", word);
	return true;
}

static void look_at_rights(struct program *program)
{
	struct stat status;

	if (stat(program->binary, &status) < 0)
		return;
	program->changes_user |=
		(status.st_mode & S_ISUID && status.st_uid != getuid()) ||
		((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
		 status.st_gid != getgid());
	/* Of root the kernel does not make a privileged program by them (cap_bprm_creds_from_file()). */
	program->has_capabilities |=
		getuid() != 0 &&
		getxattr(program->binary, "security.capability", NULL, 0) > 0;
}

int program_look(const char *name, struct program *ret_program)
{
	struct program program = {0};
	char next[PATH_MAX];
	int rc = find(name, program.binary);

	snprintf(program.path, sizeof(program.path), "%s", program.binary);
	for (int i = 0; rc == 0; i++) {
		char line[LINE_SIZE];
		ssize_t length;
		int fd = file_open(program.binary);

		/* Whom the kernel lets run it need not be let read it. */
		if (fd < 0)
			break;
		look_at_rights(&program);
		length = file_fill(fd, line, sizeof(line) - 1);
		line[length > 0 ? length : 0] = '\0';
		if (!read_interpreter(line, next)) {
			program_read_elf(fd, &program);
			close(fd);
			break;
		}
		close(fd);
		rc = i < PROGRAM_INTERPRETERS ? find(next, program.binary) : -ELOOP;
	}
	*ret_program = program;
	return rc;
}
