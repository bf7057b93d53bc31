// SPDX-License-Identifier: Apache-2.0
#include "hosts_file.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/keep_errno.h"
#include "base/read_file.h"

static bool same_letter(char a, char b)
{
	return strncasecmp(&a, &b, 1) == 0;
}

/* A word ends: true when it is @host, as a name and not as the address. */
static bool end_word(struct hosts_scan *state, const char *host)
{
	bool hit = state->in_word && state->word > 0 && !state->mismatched &&
		   host[state->matched] == '\0';

	if (state->in_word)
		state->word++;
	state->in_word = false;
	state->mismatched = false;
	state->matched = 0;
	return hit;
}

bool hosts_scan_feed(struct hosts_scan *state, const char *host, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (c == '\n') {
			if (end_word(state, host))
				return true;
			state->word = 0;
			state->comment = false;
		} else if (state->comment) {
			continue;
		} else if (c == '#' || c == ' ' || c == '\t' || c == '\r') {
			if (end_word(state, host))
				return true;
			state->comment = c == '#';
		} else {
			state->in_word = true;
			if (host[state->matched] == '\0' || !same_letter(host[state->matched], c))
				state->mismatched = true;
			else
				state->matched++;
		}
	}
	return false;
}

bool hosts_file_names(const char *host)
{
	KEEP_ERRNO();
	int fd = file_open("/etc/hosts");
	struct hosts_scan state = {0};
	char text[1024];
	bool found = false;
	size_t total = 0;
	ssize_t got = sizeof(text);

	while (fd >= 0 && !found && got == sizeof(text) && total < HOSTS_FILE_LIMIT) {
		got = file_fill(fd, text, sizeof(text));
		if (got > 0) {
			found = hosts_scan_feed(&state, host, text, (size_t)got);
			total += (size_t)got;
		}
	}
	if (fd >= 0) {
		/* The last line may lack its end. */
		found = found || hosts_scan_feed(&state, host, "\n", 1);
		close(fd);
	}
	return found;
}
