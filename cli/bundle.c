// SPDX-License-Identifier: Apache-2.0
/*
 * k8slb bundle: what somebody who looks into a bug asks for, in one tar: never a token, a key, the
 * value of a variable that is none of our settings, or what a Secret holds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/read_file.h"
#include "cli.h"
#include "config/values.h"
#include "input.h"
#include "kube/conceal.h"
#include "tar.h"

#define COMMAND	      "bundle"
#define LIMIT	      (64u * 1024 * 1024)
#define MOST_LOG      (1024u * 1024)
#define SHORTEST_WORD CONCEAL_PIECE /* what is shorter is in every text */

struct bundle {
	struct buffer archive;
	char **secrets; /* lines and words that must not be in it */
	unsigned secret_count;
};

/* ---- what must not be in it ---- */

static void add_secret(struct bundle *bundle, const char *word)
{
	char **grown = realloc(bundle->secrets, (bundle->secret_count + 1) * sizeof(*grown));
	char *copy = strdup(word);

	if (grown)
		bundle->secrets = grown;
	if (grown && copy)
		bundle->secrets[bundle->secret_count++] = copy;
	else
		free(copy);
}

static void hide_file(struct bundle *bundle, const char *path)
{
	struct buffer content = {.limit = MOST_LOG};
	char *save = NULL;
	char *word;

	if (!path || !*path || input_read(path, &content) < 0 ||
	    buffer_append(&content, "", 1) < 0) {
		buffer_free(&content);
		return;
	}
	for (word = strtok_r(content.data, " \r\n\t", &save); word;
	     word = strtok_r(NULL, " \r\n\t", &save)) {
		if (strlen(word) >= SHORTEST_WORD)
			add_secret(bundle, word);
	}
	explicit_bzero(content.data, content.length);
	buffer_free(&content);
}

static void forget_secrets(struct bundle *bundle)
{
	for (unsigned i = 0; i < bundle->secret_count; i++) {
		explicit_bzero(bundle->secrets[i], strlen(bundle->secrets[i]));
		free(bundle->secrets[i]);
	}
	free(bundle->secrets);
}

/* Every piece of one, as it may have been cut (kube/conceal.h). */
static int add(struct bundle *bundle, const char *name, struct buffer *content)
{
	int rc = buffer_append(content, "", 1);

	if (rc == 0) {
		/* It looks at texts. */
		for (size_t i = 0; i + 1 < content->length; i++) {
			if (!content->data[i])
				content->data[i] = '?';
		}
		for (unsigned i = 0; i < bundle->secret_count; i++)
			conceal(bundle->secrets[i], content->data);
		rc = tar_add(&bundle->archive, name, content->data, content->length - 1);
	}
	buffer_free(content);
	return rc;
}

/* ---- its files ---- */

static int add_versions(struct bundle *bundle)
{
	struct buffer text = {.limit = LIMIT};
	struct utsname system = {0};

	uname(&system);
	buffer_printf(&text, "k8slb %s\nkernel %s %s %s\nuser %u, effective %u\n", K8SLB_VERSION,
		      system.sysname, system.release, system.machine, (unsigned)getuid(),
		      (unsigned)geteuid());
	return add(bundle, "versions.txt", &text);
}

/* A secret may stand where its file should (lib/config/values.h). */
static bool may_be_shown(const struct config_setting *setting, const char *value)
{
	return setting->kind != SETTING_SECRET_PATH || value_absolute_path(value);
}

static int add_settings(struct bundle *bundle)
{
	struct buffer text = {.limit = LIMIT};

	for (const struct config_setting *setting = config_settings; setting->name; setting++) {
		const char *value = getenv(setting->name);
		const char *at = value ? strrchr(value, '@') : NULL;

		if (!value)
			continue;
		/* As in messages: a URL may hold a password before it. */
		if (setting->kind == SETTING_API && at)
			value = at;
		buffer_printf(&text, "%s=%s\n", setting->name,
			      may_be_shown(setting, value) ? value : "(not shown)");
	}
	return add(bundle, "settings.txt", &text);
}

/* Whatever the command prints, on both streams. */
static int add_output(struct bundle *bundle, const char *name, const struct cli_command *command,
		      char **argv)
{
	struct buffer text = {.limit = LIMIT};
	int words = 0;
	int output = memfd_create(name, MFD_CLOEXEC);
	int saved_output = dup(STDOUT_FILENO);
	int saved_errors = dup(STDERR_FILENO);

	while (argv[words])
		words++;
	if (output >= 0 && saved_output >= 0 && saved_errors >= 0) {
		fflush(stdout);
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
		command->run(words, argv);
		fflush(stdout);
		dup2(saved_output, STDOUT_FILENO);
		dup2(saved_errors, STDERR_FILENO);
		lseek(output, 0, SEEK_SET);
		file_append(output, &text);
	}
	close(output);
	close(saved_output);
	close(saved_errors);
	return add(bundle, name, &text);
}

/* Its end. */
static int add_log(struct bundle *bundle)
{
	const char *setting = getenv("K8SLB_LOG");
	const char *path = setting ? strchr(setting, ':') : NULL;
	struct buffer text = {.limit = MOST_LOG};
	int fd = path ? file_open(path + 1) : -1;

	if (fd >= 0) {
		if (lseek(fd, -(off_t)MOST_LOG, SEEK_END) < 0)
			lseek(fd, 0, SEEK_SET);
		file_append(fd, &text);
		close(fd);
	}
	return add(bundle, "log.txt", &text);
}

/* The lines of the library and of what is shared, of one process. */
static void add_maps_of(struct buffer *text, const char *pid)
{
	char path[300], line[512], name[64] = "";
	bool told = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(name, sizeof(name), file))
			name[0] = '\0';
		fclose(file);
	}
	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, "libk8slb") && !strstr(line, "/SYSV"))
			continue;
		if (!told)
			buffer_printf(text, "process %s %s", pid, name);
		told = true;
		buffer_append_text(text, line);
	}
	if (file)
		fclose(file);
}

static int add_maps(struct bundle *bundle)
{
	struct buffer text = {.limit = LIMIT};
	DIR *folder = opendir("/proc");
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		if (entry->d_name[strspn(entry->d_name, "0123456789")] == '\0')
			add_maps_of(&text, entry->d_name);
	}
	if (folder)
		closedir(folder);
	return add(bundle, "maps.txt", &text);
}

static int collect(struct bundle *bundle, char *program)
{
	char doctor[] = "doctor", explain[] = "explain", running[] = "--running", ends[] = "--";
	char *doctor_words[] = {doctor, program ? ends : NULL, program, NULL};
	char *explain_words[] = {explain, running, NULL};
	int rc = add_versions(bundle);

	if (rc == 0)
		rc = add_settings(bundle);
	if (rc == 0)
		rc = add_log(bundle);
	if (rc == 0)
		rc = add_maps(bundle);
	if (rc == 0)
		rc = add_output(bundle, "explain.txt", &explain_command, explain_words);
	/* Last: it sets variables of this process. */
	if (rc == 0)
		rc = add_output(bundle, "doctor.txt", &doctor_command, doctor_words);
	return rc == 0 ? tar_finish(&bundle->archive) : rc;
}

/* ---- the command ---- */

/* Nobody else's, and never over what is there. Returns 0 or -errno. */
static int write_archive(const struct buffer *archive, const char *path)
{
	bool is_output = strcmp(path, "-") == 0;
	int fd = is_output ? dup(STDOUT_FILENO)
			   : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t at = 0;
	int rc = fd < 0 ? -errno : 0;

	while (rc == 0 && at < archive->length) {
		ssize_t written = write(fd, archive->data + at, archive->length - at);

		if (written >= 0)
			at += (size_t)written;
		else if (errno != EINTR)
			rc = -errno;
	}
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

static int bundle_all(const char *path, char *program)
{
	struct bundle bundle = {.archive = {.limit = 2 * LIMIT}};
	int rc;

	hide_file(&bundle, getenv("K8SLB_TOKEN_FILE"));
	hide_file(&bundle, getenv("K8SLB_KEY_FILE"));
	hide_file(&bundle, "/var/run/secrets/kubernetes.io/serviceaccount/token");
	rc = collect(&bundle, program);
	if (rc < 0) {
		cli_failed(COMMAND, "collecting", rc);
	} else {
		rc = write_archive(&bundle.archive, path);
		if (rc < 0)
			cli_error(COMMAND, "name a new file in a folder that this user may write to",
				  "%s: %s", path, strerror(-rc));
	}
	forget_secrets(&bundle);
	buffer_free(&bundle.archive);
	if (rc == 0 && strcmp(path, "-") != 0)
		printf("%s is written: look through it before you send it (tar -xOf %s)\n", path, path);
	return rc < 0 ? CLI_FAILED : cli_finish_output(COMMAND);
}

static const struct cli_option bundle_options[] = {
	{"output", 'o', "FILE", "FILE", "a new file, - for standard output;\ndefault: k8slb-bundle.tar"},
	{0},
};

static int run(int argc, char **argv)
{
	struct cli_parse parse;
	const char *path = "k8slb-bundle.tar";
	int option;

	cli_parse_begin(&parse, &bundle_command, argc, argv);
	while ((option = cli_next_option(&parse)) != -1) {
		switch (option) {
		case 'o':
			path = optarg;
			break;
		case 'h':
			return cli_help(&bundle_command);
		default:
			return CLI_USAGE;
		}
	}
	return bundle_all(path, optind < argc ? argv[optind] : NULL);
}

const struct cli_command bundle_command = {
	.name = COMMAND,
	.summary = "one file for a bug report, without secrets",
	.run = run,
	.usage = "[OPTION]... [[--] PROGRAM]",
	.about = "Write a tar of what a bug report needs, as seen from here: versions, settings,\n"
		 "doctor, explain of the running table, the log of K8SLB_LOG=LEVEL:PATH, and where\n"
		 "the library is mapped. No token, no key, no Secret, no other variable is in it.",
	.options = bundle_options,
	.end = "Exit status: 0 done, 1 it cannot be written, 2 wrong command line.",
	.takes_program = true,
};
