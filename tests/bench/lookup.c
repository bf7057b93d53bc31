// SPDX-License-Identifier: Apache-2.0
/*
 * pick_by_vip() alone, without the hook around it.
 *
 *	lookup SERVICES		commands: same, spread, missing; answers: nanoseconds a call
 */
#include "bench_table.h"
#include "pick/pick.h"

#define BATCH	20000
#define BATCHES 25
#define STRIDE	7919 /* coprime to the counts of Services */

static struct pick_memory memory;

struct walk {
	unsigned first;
	unsigned count;
	enum pick_result expected;
};

static void batch(const struct table_view *view, const struct ip_address *vips,
		  const struct walk *walk)
{
	const struct pick_state state = {
		.memory = &memory,
		.rules = HEALTH_DEFAULTS,
		.seed = 1,
		.policy = PICK_ROUND_ROBIN,
	};
	struct picked picked;
	unsigned at = 0;

	for (int i = 0; i < BATCH; i++) {
		if (pick_by_vip(view, &state, &vips[walk->first + at], BENCH_TABLE_PORT,
				PROTOCOL_TCP, &picked) != walk->expected)
			bench_die("wrong result of pick_by_vip");
		at += STRIDE % walk->count;
		if (at >= walk->count)
			at -= walk->count;
	}
}

static void measure(const struct table_view *view, const struct ip_address *vips,
		    const struct walk *walk)
{
	uint64_t samples[BATCHES];

	batch(view, vips, walk);
	for (int i = 0; i < BATCHES; i++) {
		uint64_t start = bench_now_ns();

		batch(view, vips, walk);
		samples[i] = bench_now_ns() - start;
	}
	bench_sort(samples, BATCHES);
	printf("{\"best\": %.2f, \"median\": %.2f}\n", (double)samples[0] / BATCH,
	       (double)bench_percentile(samples, BATCHES, 50) / BATCH);
}

int main(int argc, char **argv)
{
	const unsigned services = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
	const struct walk same = {0, 1, PICK_ENDPOINT};
	const struct walk spread = {0, services, PICK_ENDPOINT};
	const struct walk missing = {services, 256, PICK_NOT_OURS};
	struct ip_address *vips;
	struct table_writer *writer;
	char line[64];

	if (!services)
		bench_die("usage: lookup SERVICES");
	bench_pin(0);
	vips = calloc(services + missing.count, sizeof(vips[0]));
	if (!vips)
		bench_die("out of memory");
	for (unsigned i = 0; i < services + missing.count; i++)
		vips[i] = bench_vip(i);
	writer = bench_table_new(services, 10);
	while (bench_command(line, sizeof(line))) {
		const struct walk *walk = strcmp(line, "same") == 0	? &same
					  : strcmp(line, "spread") == 0 ? &spread
									: &missing;

		measure(table_writer_view(writer), vips, walk);
	}
	table_writer_free(writer);
	free(vips);
	return 0;
}
