// SPDX-License-Identifier: Apache-2.0
#include "kube/credentials.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/raw_calls.h"
#include "base/read_file.h"
#include "kube/conceal.h"

#define FIRST_CAPACITY 4096
#define PROBLEM_SIZE   256

/* One file with the text that was read from it last. */
struct secret_file {
	const char *what; /* for messages */
	char *path;	  /* NULL: not configured */
	char *text;	  /* NULL: never read with success */
	size_t size;
	char *before; /* another text that it had before; NULL: none */
	size_t size_before;
	uint64_t read_at_ms;
	uint64_t max_age_ms;
	bool stale;
	bool no_memory;				  /* why the last try failed */
	bool (*accept)(char *text, size_t *size); /* may shorten; false: unusable */
	const char *expected;			  /* by @accept, for messages */
	char problem[PROBLEM_SIZE];		  /* of the last try; "" */
};

struct credentials {
	struct secret_file token;
	struct secret_file ca;
	struct secret_file cert;
	struct secret_file key;
};

/* The compiler must not drop the overwriting of memory that is freed next. */
static void wipe_and_free(char *text, size_t size)
{
	if (!text)
		return;
	memset(text, 0, size);
	__asm__ volatile("" : : "r"(text) : "memory");
	free(text);
}

/* Returns 0 with the caller's NUL-terminated text or -errno; -EFBIG beyond CREDENTIALS_FILE_LIMIT.
 * Copies that were outgrown on the way are wiped. */
static int read_secret(const char *path, char **ret_text, size_t *ret_size)
{
	size_t capacity = FIRST_CAPACITY;
	size_t size = 0;
	int fd = file_open(path);
	char *text;
	int rc = -ENOMEM;

	if (fd < 0)
		return fd;
	text = malloc(capacity);
	while (text) {
		ssize_t got = file_fill(fd, text + size, capacity - size - 1);
		char *grown;

		rc = got < 0 ? (int)got : 0;
		if (rc == 0)
			size += (size_t)got;
		if (size > CREDENTIALS_FILE_LIMIT)
			rc = -EFBIG;
		if (rc < 0 || size < capacity - 1)
			break;
		rc = -ENOMEM;
		grown = malloc(capacity * 2);
		if (grown)
			memcpy(grown, text, size);
		wipe_and_free(text, size);
		text = grown;
		capacity *= 2;
	}
	k8slb_raw_close(fd);
	if (rc < 0) {
		wipe_and_free(text, size);
		return rc;
	}
	text[size] = '\0';
	*ret_text = text;
	*ret_size = size;
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Trims; the rest must be visible ASCII: RFC 6750 2.1 allows less, and nothing else may get into
 * a header line. */
static bool accept_token(char *text, size_t *size)
{
	size_t start = strspn(text, " \t\r\n");
	size_t length = *size - start;

	while (length && is_space(text[start + length - 1]))
		length--;
	for (size_t i = 0; i < length; i++) {
		if (text[start + i] < 0x21 || text[start + i] > 0x7e)
			return false;
	}
	if (!length)
		return false;
	memmove(text, text + start, length);
	memset(text + length, 0, *size - length);
	*size = length;
	return true;
}

/* A CA file that is being written must not take the place of a good one. */
static bool accept_pem(char *text, size_t *size)
{
	return memchr(text, '\0', *size) == NULL && strstr(text, "-----BEGIN ") != NULL &&
	       strstr(text, "-----END ") != NULL;
}

/* Reads the file when it is due. What was read before stays when that fails. */
static void refresh(struct secret_file *file, uint64_t now_ms)
{
	char *text = NULL;
	size_t size = 0;
	int rc;

	if (!file->path)
		return;
	if (file->text && !file->stale && now_ms - file->read_at_ms < file->max_age_ms)
		return;
	rc = read_secret(file->path, &text, &size);
	file->no_memory = rc == -ENOMEM;
	if (rc < 0) {
		snprintf(file->problem, sizeof(file->problem), "%s %s: %s", file->what, file->path,
			 strerror(-rc));
		return;
	}
	if (!file->accept(text, &size)) {
		wipe_and_free(text, size);
		snprintf(file->problem, sizeof(file->problem), "%s %s: expected %s", file->what,
			 file->path, file->expected);
		return;
	}
	if (!file->text || file->size != size || memcmp(file->text, text, size) != 0) {
		wipe_and_free(file->before, file->size_before);
		file->before = file->text;
		file->size_before = file->size;
	} else {
		wipe_and_free(file->text, file->size);
	}
	file->text = text;
	file->size = size;
	file->read_at_ms = now_ms;
	file->stale = false;
	file->problem[0] = '\0';
}

static int secret_file_init(struct secret_file *file, const char *path, const char *what)
{
	file->what = what;
	file->accept = accept_pem;
	file->expected = "PEM text";
	file->max_age_ms = CREDENTIALS_CA_MAX_AGE_MS;
	if (!path || !*path)
		return 0;
	file->path = strdup(path);
	return file->path ? 0 : -ENOMEM;
}

static void secret_file_free(struct secret_file *file)
{
	wipe_and_free(file->text, file->size);
	wipe_and_free(file->before, file->size_before);
	free(file->path);
}

int credentials_new(const struct credentials_options *options, struct credentials **ret_credentials)
{
	struct credentials *credentials = calloc(1, sizeof(*credentials));

	if (!credentials)
		return -ENOMEM;
	if (secret_file_init(&credentials->token, options->token_file, "token file") < 0 ||
	    secret_file_init(&credentials->ca, options->ca_file, "CA file") < 0 ||
	    secret_file_init(&credentials->cert, options->cert_file, "client certificate") < 0 ||
	    secret_file_init(&credentials->key, options->key_file, "client key") < 0) {
		credentials_free(credentials);
		return -ENOMEM;
	}
	credentials->token.accept = accept_token;
	credentials->token.expected = "one token of visible ASCII characters";
	credentials->token.max_age_ms = CREDENTIALS_TOKEN_MAX_AGE_MS;
	*ret_credentials = credentials;
	return 0;
}

const char *credentials_token(struct credentials *credentials, uint64_t now_ms)
{
	refresh(&credentials->token, now_ms);
	return credentials->token.text;
}

void credentials_conceal(const struct credentials *credentials, char *text)
{
	if (credentials->token.text)
		conceal(credentials->token.text, text);
	if (credentials->token.before)
		conceal(credentials->token.before, text);
}

void credentials_forget_token(struct credentials *credentials)
{
	credentials->token.stale = true;
}

static const char *pem(struct secret_file *file, uint64_t now_ms, size_t *ret_size)
{
	refresh(file, now_ms);
	*ret_size = file->size;
	return file->text;
}

const char *credentials_ca(struct credentials *credentials, uint64_t now_ms, size_t *ret_size)
{
	return pem(&credentials->ca, now_ms, ret_size);
}

const char *credentials_cert(struct credentials *credentials, uint64_t now_ms, size_t *ret_size)
{
	return pem(&credentials->cert, now_ms, ret_size);
}

const char *credentials_key(struct credentials *credentials, uint64_t now_ms, size_t *ret_size)
{
	return pem(&credentials->key, now_ms, ret_size);
}

static bool lacks_memory(const struct secret_file *file)
{
	return file->no_memory && !file->text;
}

bool credentials_lack_memory(const struct credentials *credentials)
{
	return lacks_memory(&credentials->token) || lacks_memory(&credentials->ca) ||
	       lacks_memory(&credentials->cert) || lacks_memory(&credentials->key);
}

const char *credentials_problem(const struct credentials *credentials)
{
	const struct secret_file *files[] = {&credentials->token, &credentials->ca,
					     &credentials->cert, &credentials->key};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i]->problem[0])
			return files[i]->problem;
	}
	return "";
}

void credentials_free(struct credentials *credentials)
{
	if (!credentials)
		return;
	secret_file_free(&credentials->token);
	secret_file_free(&credentials->ca);
	secret_file_free(&credentials->cert);
	secret_file_free(&credentials->key);
	free(credentials);
}
