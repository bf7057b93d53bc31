// SPDX-License-Identifier: Apache-2.0
/*
 * The time from posix_spawn() of a program to its end, under several environments.
 *
 *	spawn ROUNDS VARIANT... -- PROGRAM ARGUMENT...	VARIANT: NAME[;VARIABLE=VALUE]...
 *
 * Each round runs all variants once, in an order of its own. Answers with the percentiles of each,
 *and of its difference to the first one in the same round, in nanoseconds.
 */
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"

#define MAX_VARIANTS  16
#define MAX_VARIABLES 15
#define WARM_UP	      10

struct variant {
	const char *name;
	char *environment[MAX_VARIABLES + 1];
	uint64_t *samples;
	double *differences;
};

static uint64_t spawn_once(char **command, const struct variant *variant)
{
	uint64_t start = bench_now_ns();
	int status;
	pid_t pid;

	if (posix_spawn(&pid, command[0], NULL, NULL, command, variant->environment) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("%s: %s does not run", variant->name, command[0]);
	return bench_now_ns() - start;
}

static void read_variant(char *text, unsigned rounds, struct variant *ret_variant)
{
	char *rest;
	unsigned count = 0;

	ret_variant->name = strtok_r(text, ";", &rest);
	while (count < MAX_VARIABLES) {
		char *variable = strtok_r(NULL, ";", &rest);

		if (!variable)
			break;
		ret_variant->environment[count++] = variable;
	}
	ret_variant->samples = calloc(rounds, sizeof(ret_variant->samples[0]));
	ret_variant->differences = calloc(rounds, sizeof(ret_variant->differences[0]));
	if (!ret_variant->samples || !ret_variant->differences)
		bench_die("out of memory");
}

static void shuffle(unsigned *order, unsigned count)
{
	for (unsigned i = count - 1; i > 0; i--) {
		unsigned other = (unsigned)(random() % (i + 1));
		unsigned kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;

	return left < right ? -1 : left > right;
}

static void print_variant(struct variant *variant, unsigned rounds)
{
	qsort(variant->differences, rounds, sizeof(variant->differences[0]), compare_doubles);
	printf("\"%s\": {", variant->name);
	bench_print_percentiles("ns", variant->samples, rounds);
	printf(", \"added_ns\": {\"p25\": %.0f, \"p50\": %.0f, \"p75\": %.0f}}",
	       variant->differences[rounds / 4], variant->differences[rounds / 2],
	       variant->differences[rounds * 3 / 4]);
}

int main(int argc, char **argv)
{
	struct variant variants[MAX_VARIANTS] = {{0}};
	unsigned order[MAX_VARIANTS];
	unsigned count = 0;
	unsigned rounds;
	char **command;

	while ((int)count + 2 < argc && strcmp(argv[count + 2], "--") != 0)
		count++;
	command = &argv[count + 3];
	if ((int)count + 3 >= argc || !count || count > MAX_VARIANTS)
		bench_die("usage: spawn ROUNDS VARIANT... -- PROGRAM ARGUMENT...");
	rounds = (unsigned)atoi(argv[1]);
	if (!rounds)
		bench_die("no rounds");
	for (unsigned i = 0; i < count; i++) {
		read_variant(argv[i + 2], rounds, &variants[i]);
		order[i] = i;
	}
	bench_pin(0);
	srandom((unsigned)bench_now_ns());
	for (unsigned round = 0; round < WARM_UP + rounds; round++) {
		unsigned at = round < WARM_UP ? 0 : round - WARM_UP;

		shuffle(order, count);
		for (unsigned i = 0; i < count; i++)
			variants[order[i]].samples[at] = spawn_once(command, &variants[order[i]]);
		for (unsigned i = 0; i < count; i++)
			variants[i].differences[at] =
				(double)variants[i].samples[at] - (double)variants[0].samples[at];
	}
	printf("{");
	for (unsigned i = 0; i < count; i++) {
		print_variant(&variants[i], rounds);
		printf(i + 1 < count ? ", " : "}\n");
		free(variants[i].samples);
		free(variants[i].differences);
	}
	return 0;
}
