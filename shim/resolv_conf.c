// SPDX-License-Identifier: Apache-2.0
#include "resolv_conf.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NDOTS_MOST     15u /* of both */
#define MUSL_LINE_MOST 254u
static const char blanks[] = " \t\r\n\v\f";

void resolv_conf_init(struct resolv_conf *conf)
{
	*conf = (struct resolv_conf){.ndots = 1};
}

/* Appends each word; one that does not fit, and all after it, is cut. */
static void set_search(struct resolv_conf *conf, const char *text, size_t length)
{
	const char *end = text + length;
	size_t used = 0;

	conf->cut = 0;
	for (text += strspn(text, blanks); text < end; text += strspn(text, blanks)) {
		size_t word = strcspn(text, blanks);

		if (word + 2 > sizeof(conf->search) - used) {
			conf->cut = 1;
			break;
		}
		memcpy(conf->search + used, text, word);
		used += word;
		conf->search[used++] = ' ';
		text += word;
	}
	conf->search[used] = '\0';
}

void resolv_conf_set_search(struct resolv_conf *conf, const char *text)
{
	/* glibc reads its first line. */
	set_search(conf, text, strcspn(text, "\n"));
}

/* The rest of a line that begins with @keyword and a blank, else NULL. */
static const char *after_keyword(const char *line, const char *keyword)
{
	size_t length = strlen(keyword);

	if (strncmp(line, keyword, length) != 0 || !line[length] || !strchr(blanks, line[length]))
		return NULL;
	return line + length + strspn(line + length, blanks);
}

void resolv_conf_options(struct resolv_conf *conf, enum resolv_libc libc, const char *options)
{
	static const char ndots[] = "ndots:";
	const char *found = options;

	while ((found = strstr(found, ndots))) {
		bool begins = found == options || strchr(blanks, found[-1]);
		uint32_t value = 0;

		found += strlen(ndots);
		if (!begins && libc == RESOLV_GLIBC)
			continue;
		if (!(*found >= '0' && *found <= '9') && libc == RESOLV_MUSL)
			return;
		for (; *found >= '0' && *found <= '9'; found++)
			value = value <= NDOTS_MOST ? value * 10 + (uint32_t)(*found - '0') : value;
		conf->ndots = value < NDOTS_MOST ? value : NDOTS_MOST;
		if (libc == RESOLV_MUSL)
			return;
	}
}

void resolv_conf_line(struct resolv_conf *conf, enum resolv_libc libc, const char *line, bool cut)
{
	const char *rest;

	if (libc == RESOLV_MUSL && (cut || strlen(line) > MUSL_LINE_MOST))
		return;
	if ((rest = after_keyword(line, "options"))) {
		resolv_conf_options(conf, libc, rest);
	} else if ((rest = after_keyword(line, "search"))) {
		if (*rest || libc == RESOLV_MUSL)
			set_search(conf, rest, strlen(rest));
		conf->cut |= cut;
	} else if ((rest = after_keyword(line, "domain"))) {
		if (*rest || libc == RESOLV_MUSL)
			set_search(conf, rest,
				   libc == RESOLV_GLIBC ? strcspn(rest, blanks) : strlen(rest));
		conf->cut |= cut;
	}
}

void resolv_conf_of_pod(struct resolv_conf *conf, const char *namespace, const char *domain)
{
	*conf = (struct resolv_conf){.ndots = 5};
	/* A domain of the longest kind is cut: no name of it fits into a DNS name anyway. */
	conf->cut = snprintf(conf->search, sizeof(conf->search), "%s.svc.%s svc.%s %s ", namespace,
			     domain, domain, domain) >= (int)sizeof(conf->search);
}

/* Copies @length bytes in lower case, with a NUL. */
static void copy_lower(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a' : from[i]);
	to[length] = '\0';
}

bool resolv_name_copy(const char *host, char name[RESOLV_NAME_SIZE])
{
	size_t length = strlen(host);

	if (length > 0 && host[length - 1] == '.')
		length--;
	if (length == 0 || length > RESOLV_NAME_SIZE - 3)
		return false;
	copy_lower(name, host, length);
	return true;
}

/* The domain that begins at @at of the list: its length, without a dot at its end. */
static size_t domain_at(const struct resolv_conf *conf, size_t at, size_t *ret_next)
{
	size_t length = strcspn(conf->search + at, " ");

	*ret_next = at + length + (conf->search[at + length] == ' ');
	if (length > 0 && conf->search[at + length - 1] == '.')
		length--;
	return length;
}

static bool is_domain_name(const char *name)
{
	if (*name == '.' || *name == '-' || !*name)
		return false;
	for (; *name; name++) {
		if (!((*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') ||
		      (*name == '-' && name[1]) || (*name == '.' && name[1] && name[1] != '.')))
			return false;
	}
	return true;
}

/* An entry of the list is a label and ".svc.@domain". */
static bool has_namespace_of(const struct resolv_conf *conf, const char *domain)
{
	size_t domain_length = strlen(domain);
	size_t next;

	for (size_t at = 0; conf->search[at]; at = next) {
		const char *entry = conf->search + at;
		size_t length = domain_at(conf, at, &next);
		size_t label = strcspn(entry, ".");

		if (label > 0 && length == label + strlen(".svc.") + domain_length &&
		    strncasecmp(entry + label, ".svc.", strlen(".svc.")) == 0 &&
		    strncasecmp(entry + length - domain_length, domain, domain_length) == 0)
			return true;
	}
	return false;
}

bool resolv_conf_domain(const struct resolv_conf *conf, char domain[RESOLV_NAME_SIZE])
{
	char found[RESOLV_NAME_SIZE];
	size_t next;

	for (size_t at = 0; conf->search[at]; at = next) {
		size_t length = domain_at(conf, at, &next);

		if (length <= 4 || length >= sizeof(found) ||
		    strncasecmp(conf->search + at, "svc.", 4) != 0)
			continue;
		copy_lower(found, conf->search + at + 4, length - 4);
		if (is_domain_name(found) && has_namespace_of(conf, found)) {
			memcpy(domain, found, length - 4 + 1);
			return true;
		}
	}
	return false;
}

bool resolv_walk_next(struct resolv_walk *walk, const struct resolv_conf *conf,
		      char name[RESOLV_NAME_SIZE])
{
	size_t host_length = strlen(walk->host);
	size_t length, next;
	unsigned dots = 0;

	for (size_t i = 0; i < host_length; i++)
		dots += walk->host[i] == '.';
	/* Both ask for such a name as it stands, glibc first of all, musl alone. */
	if (host_length == 0 || walk->host[host_length - 1] == '.' || dots >= conf->ndots)
		walk->ended = true;
	if (walk->ended || !conf->search[walk->at]) {
		walk->ended = true;
		return false;
	}
	length = domain_at(conf, walk->at, &next);
	/* A root in the list is the name as it stands; what does not fit nobody can ask for. */
	if (length == 0 || host_length + 1 + length > RESOLV_NAME_SIZE - 3) {
		walk->ended = true;
		return false;
	}
	copy_lower(name, walk->host, host_length);
	name[host_length] = '.';
	copy_lower(name + host_length + 1, conf->search + walk->at, length);
	walk->at = next;
	return true;
}

bool nsswitch_asks_dns(const char *line)
{
	const char *word = line + strlen("hosts:");

	while (*(word += strspn(word, blanks)) && *word != '#') {
		size_t length = strcspn(word, " \t\r\n\v\f[#");

		if (length == 3 && strncmp(word, "dns", 3) == 0)
			return true;
		if (!(length == 5 && strncmp(word, "files", 5) == 0) &&
		    !(length == 10 && strncmp(word, "myhostname", 10) == 0))
			return false;
		word += length;
	}
	return false;
}
