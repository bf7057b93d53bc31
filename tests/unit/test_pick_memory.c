/* The pick memory: the shared segment, whose it may be, the rounds that processes share, garbage.
 */
// SPDX-License-Identifier: Apache-2.0
#include "pick/memory.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

#include "base/clock.h"
#include "support/objects.h"
#include "support/pick_world.h"
#include "support/assert_op.h"

/* Not the user's own segment: programs of other tests use that. */
static key_t key;

static int setup(void **state)
{
	(void)state;
	key = (key_t)(random_u64() & INT32_MAX) | 1;
	return 0;
}

static int teardown(void **state)
{
	int id = shmget(key, 0, 0);

	(void)state;
	return id < 0 ? 0 : shmctl(id, IPC_RMID, NULL);
}

static struct pick_memory *attach(void)
{
	struct pick_memory *memory = NULL;

	assert_int_equal(pick_memory_attach_key(key, &memory), 0);
	assert_non_null(memory);
	return memory;
}

static struct shmid_ds status_of(int id)
{
	struct shmid_ds status;

	assert_int_equal(shmctl(id, IPC_STAT, &status), 0);
	return status;
}

static void test_the_key_is_the_users(void **state)
{
	(void)state;
	for (uid_t uid = 0; uid < 5000; uid++) {
		assert_op(pick_memory_key(uid), >, 0);
		assert_int_equal(pick_memory_key(uid), pick_memory_key(uid));
		assert_int_not_equal(pick_memory_key(uid), pick_memory_key(uid + 1));
	}
}

static void test_a_new_segment(void **state)
{
	struct pick_memory *memory;
	struct shmid_ds status;

	(void)state;
	errno = 4711;
	memory = attach();
	assert_int_equal(errno, 4711);
	assert_int_equal(memory->magic, PICK_MEMORY_MAGIC);
	assert_int_not_equal(memory->seed, 0);
	assert_true(health_is_quiet(&memory->health));
	status = status_of(shmget(key, 0, 0));
	assert_int_equal(status.shm_perm.mode & 0777, 0600);
	assert_int_equal(status.shm_segsz, sizeof(struct pick_memory));
	assert_int_equal(shmdt(memory), 0);
	/* It stays, and what is in it. */
	memory = attach();
	assert_int_not_equal(memory->seed, 0);
	assert_int_equal(shmdt(memory), 0);
}

static void test_all_attach_the_same(void **state)
{
	struct pick_memory *first = attach();
	struct pick_memory *second = attach();

	(void)state;
	assert_ptr_not_equal(first, second);
	assert_int_equal(first->seed, second->seed);
	pick_memory_count(first, PICK_COUNT_EJECTIONS);
	assert_int_equal(second->counters[PICK_COUNT_EJECTIONS], 1);
	shmdt(first);
	shmdt(second);
}

/* Somebody removes it: what is attached stays good, and the next one makes a new one. */
static void test_a_removed_segment(void **state)
{
	struct pick_memory *old = attach();
	struct pick_memory *fresh;

	(void)state;
	assert_int_equal(teardown(NULL), 0);
	old->counters[0] = 5;
	fresh = attach();
	assert_int_equal(fresh->counters[0], 0);
	assert_int_equal(old->counters[0], 5);
	shmdt(old);
	shmdt(fresh);
}

static void prepare_foreign_owner(int id)
{
	struct shmid_ds status = status_of(id);

	status.shm_perm.uid = geteuid() + 1; /* the creator may give it away */
	assert_int_equal(shmctl(id, IPC_SET, &status), 0);
}

static void prepare_rights_for_others(int id)
{
	struct shmid_ds status = status_of(id);

	status.shm_perm.mode = 0660;
	assert_int_equal(shmctl(id, IPC_SET, &status), 0);
}

static void prepare_other_content(int id)
{
	uint64_t *words = shmat(id, NULL, 0);

	words[0] = PICK_MEMORY_MAGIC + 1;
	shmdt(words);
}

static void prepare_nothing(int id)
{
	(void)id;
}

static void test_what_is_refused(void **state)
{
	static const struct {
		size_t size;
		void (*prepare)(int id);
		int expected;
	} cases[] = {
		{sizeof(struct pick_memory), prepare_foreign_owner, -EPERM},
		{sizeof(struct pick_memory), prepare_rights_for_others, -EPERM},
		{sizeof(struct pick_memory) - 8, prepare_nothing, -EBADMSG},
		{sizeof(struct pick_memory) + 8, prepare_nothing, -EBADMSG},
		{1, prepare_nothing, -EBADMSG},
		{sizeof(struct pick_memory), prepare_other_content, -EPROTO},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int id = shmget(key, cases[i].size, IPC_CREAT | IPC_EXCL | 0600);
		struct pick_memory *memory = NULL;

		assert_int_not_equal(id, -1);
		cases[i].prepare(id);
		errno = 4711;
		assert_int_equal(pick_memory_attach_key(key, &memory), cases[i].expected);
		assert_int_equal(errno, 4711);
		assert_null(memory);
		/* Nothing of it stays attached. */
		if (cases[i].prepare != prepare_foreign_owner)
			assert_int_equal(status_of(id).shm_nattch, 0);
		assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
	}
}

/* Runs @child in @count processes at once; each gets its number. All must exit with 0. */
static void in_processes(unsigned count, void (*child)(unsigned number, void *ctx), void *ctx)
{
	pid_t pids[64];

	assert_in_range(count, 1, 64);
	for (unsigned i = 0; i < count; i++) {
		pids[i] = fork();
		assert_int_not_equal(pids[i], -1);
		if (pids[i] == 0) {
			child(i, ctx);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < count; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void note_seed(unsigned number, void *ctx)
{
	uint64_t *seeds = ctx;
	struct pick_memory *memory;

	if (pick_memory_attach_key(key, &memory) < 0)
		_exit(1);
	seeds[number] = memory->seed;
}

/* They come at once to a segment that is not there yet: one of them makes it. */
static void test_processes_race_to_make_it(void **state)
{
	uint64_t *seeds =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(seeds, MAP_FAILED);
	for (unsigned round = 0; round < test_count(10, 100); round++) {
		in_processes(8, note_seed, seeds);
		for (unsigned i = 1; i < 8; i++)
			assert_int_equal(seeds[i], seeds[0]);
		assert_int_not_equal(seeds[0], 0);
		assert_int_equal(teardown(NULL), 0);
	}
	munmap(seeds, 4096);
}

#define PODS 10u

struct shared_round {
	struct pick_world world;
	unsigned connections;
	uint32_t *counts; /* of each pod, shared by all */
};

static void connect_often(unsigned number, void *ctx)
{
	const struct shared_round *round = ctx;
	struct pick_world world = round->world;
	struct pick_state process;
	struct picked picked;

	if (pick_memory_attach_key(key, &world.memory) < 0)
		_exit(1);
	process = pick_world_process(&world, number);
	for (unsigned i = 0; i < round->connections; i++)
		__atomic_fetch_add(&round->counts[pick_world_next(&world, &process, &picked)], 1,
				   __ATOMIC_RELAXED);
}

/* 50 processes with 20 connections each: as even as one process's. */
static void test_processes_share_a_round(void **state)
{
	struct shared_round round = {.connections = 20};

	(void)state;
	round.counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(round.counts, MAP_FAILED);
	pick_world_init(&round.world, PODS);
	in_processes(50, connect_often, &round);
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(round.counts[i], 50 * 20 / PODS);
	pick_world_free(&round.world);
	munmap(round.counts, 4096);
}

/* A loop of 1000 short-lived programs, one connection each. */
static void test_short_lived_programs_share_a_round(void **state)
{
	struct pick_world world;
	struct pick_memory *own;
	unsigned counts[PODS] = {0};

	(void)state;
	pick_world_init(&world, PODS);
	own = world.memory;
	for (unsigned i = 0; i < 1000; i++) {
		struct pick_state process;
		struct picked picked;

		world.memory = attach();
		process = pick_world_process(&world, random_u64());
		counts[pick_world_next(&world, &process, &picked)]++;
		shmdt(world.memory);
	}
	for (unsigned i = 0; i < PODS; i++)
		assert_int_equal(counts[i], 1000 / PODS);
	world.memory = own;
	pick_world_free(&world);
}

/* Their tables number the ports differently, as two writers do. */
static void test_tables_of_two_writers_share_a_round(void **state)
{
	struct pick_world first;
	struct pick_world second;
	struct picked picked;
	unsigned last;

	(void)state;
	pick_world_init(&first, 5);
	pick_world_init(&second, 0);
	pick_world_put_service(&second, "other", "10.96.0.2", 3);
	pick_world_put(&second, 5, 0);
	second.state.memory = first.memory;
	second.state.seed = 99;
	last = pick_world_next(&first, &first.state, &picked);
	for (unsigned i = 1; i < 50; i++) {
		const struct pick_world *world = i % 3 ? &second : &first;
		unsigned now = pick_world_next(world, &world->state, &picked);

		assert_int_equal(now, (last + 1) % 5);
		last = now;
	}
	pick_world_free(&first);
	pick_world_free(&second);
}

#define THREADS 8

struct picking_thread {
	const struct pick_world *world;
	unsigned number;
	unsigned counts[PODS];
};

/* Endpoint 3 is dead: it fails each probe. */
static void *pick_often(void *argument)
{
	struct picking_thread *thread = argument;
	struct pick_state process = pick_world_process(thread->world, thread->number);

	for (unsigned i = 0; i < 5000; i++) {
		struct picked picked;
		unsigned pod = pick_world_next(thread->world, &process, &picked);

		thread->counts[pod]++;
		process.now_ms += 10;
		if (pod == 3)
			pick_failed(&process, &picked.endpoint);
		else
			pick_succeeded(&process, &picked.endpoint);
	}
	return NULL;
}

/* Threads take turns and report at once. Each has a clock of its own, up to 50 s apart: so the dead
 * endpoint may be tried by some for whom its time is over, and no more. */
static void test_threads_share_a_round(void **state)
{
	struct pick_world world;
	struct picking_thread threads[THREADS];
	pthread_t ids[THREADS];
	unsigned counts[PODS] = {0};

	(void)state;
	pick_world_init(&world, PODS);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i] = (struct picking_thread){.world = &world, .number = i};
		assert_int_equal(pthread_create(&ids[i], NULL, pick_often, &threads[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(ids[i], NULL);
		for (unsigned pod = 0; pod < PODS; pod++)
			counts[pod] += threads[i].counts[pod];
	}
	assert_in_range(counts[3], 1, THREADS * 10);
	/* A thread that is stopped between two turns of one pick shifts the round by one. */
	for (unsigned pod = 0; pod < PODS; pod++) {
		if (pod != 3)
			assert_in_range(counts[pod], THREADS * 5000 / 9 * 97 / 100,
					THREADS * 5000 / 9 * 103 / 100);
	}
	pick_world_free(&world);
}

static struct cursor_slot slots[CURSOR_SLOTS];

static uint64_t cursor_key(unsigned service)
{
	struct ip_address vip = ip_plus(ip_of("10.96.0.0"), service);

	return cursor_key_of_vip(&vip, 80, PROTOCOL_TCP);
}

/* 4000 Services find a cursor of their own, but for a few. */
static void test_many_services_have_a_cursor(void **state)
{
	unsigned without = 0;

	(void)state;
	memset(slots, 0, sizeof(slots));
	for (uint32_t turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < 4000; i++) {
			uint32_t ticket;

			if (cursor_take(slots, cursor_key(i), &ticket))
				assert_int_equal(ticket, turn);
			else
				without++;
		}
	}
	assert_in_range(without, 0, 3 * 20);
}

/* Names, ports, protocols and families have rounds of their own. */
static void test_cursor_keys_differ(void **state)
{
	struct table_port ports[3] = {{.port = 80, .protocol = PROTOCOL_TCP, .family = 4},
				      {.port = 81, .protocol = PROTOCOL_TCP, .family = 4},
				      {.port = 80, .protocol = PROTOCOL_TCP, .family = 6}};
	uint64_t keys[5] = {
		cursor_key_of_name("demo", "web", &ports[0]),
		cursor_key_of_name("demo", "web", &ports[1]),
		cursor_key_of_name("demo", "web", &ports[2]),
		cursor_key_of_name("demo", "db", &ports[0]),
		cursor_key_of_name("prod", "web", &ports[0]),
	};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(keys[i] >> 32, keys[j] >> 32);
	}
}

#define POOL_WORDS (256 * 1024u)

/* Words that a hostile process would write: noise, small numbers, times around now, true keys. */
static void fill_pool(uint64_t *pool, const struct pick_world *world, unsigned endpoints)
{
	struct ip_address vip = ip_of(WORLD_VIP);
	uint64_t random = 7;

	for (unsigned i = 0; i < POOL_WORDS; i++) {
		uint64_t noise = (uint64_t)test_random(&random) << 32 | test_random(&random);
		struct table_endpoint endpoint = pick_world_endpoint(noise % endpoints);
		uint64_t soon_ms = world->state.now_ms + noise % 600000;

		switch (test_random(&random) % 8) {
		case 0:
			pool[i] = noise;
			break;
		case 1:
			pool[i] = noise % 3;
			break;
		case 2:
			pool[i] = UINT64_MAX - noise % 3;
			break;
		case 3:
			pool[i] = soon_ms;
			break;
		case 4:
			pool[i] = soon_ms << 16 | (noise & 0xffff);
			break;
		case 5:
			pool[i] = cursor_key_of_vip(&vip, 80, PROTOCOL_TCP);
			break;
		default:
			pool[i] = health_key(&endpoint);
		}
	}
}

/* Some of the records that the picks look at hold a true key and any state. */
static void spoil_health(struct pick_memory *memory, unsigned endpoints, uint64_t *random,
			 const uint64_t *pool)
{
	for (unsigned i = 0; i < endpoints; i++) {
		struct table_endpoint endpoint = pick_world_endpoint(i);
		uint64_t endpoint_key = health_key(&endpoint);
		struct health_slot *set =
			&memory->health.slots[(endpoint_key & (HEALTH_SLOTS / HEALTH_WAYS - 1)) *
					      HEALTH_WAYS];

		set[test_random(random) % HEALTH_WAYS] =
			(struct health_slot){endpoint_key, pool[test_random(random) % POOL_WORDS]};
	}
}

/* All of it is garbage before each call, and the answer is one of the Service's endpoints. */
static void test_garbage_is_harmless(void **state)
{
	struct ip_address vip = ip_of(WORLD_VIP);
	struct pick_world world;
	uint64_t *pool = calloc(POOL_WORDS, sizeof(pool[0]));
	uint64_t random = 1;

	(void)state;
	assert_non_null(pool);
	pick_world_init(&world, 7);
	fill_pool(pool, &world, 7);
	for (unsigned round = 0; round < test_count(20000, 100000); round++) {
		unsigned at = test_random(&random) % (POOL_WORDS - sizeof(struct pick_memory) / 8);
		struct table_endpoint tried[PICK_TRIED];
		struct picked picked;
		enum pick_result result;
		unsigned number;

		memcpy(world.memory, pool + at, sizeof(*world.memory));
		spoil_health(world.memory, 7, &random, pool);
		if (round % 1000 == 0)
			pick_world_put(&world, 1 + round / 1000 % 7, round % 3 ? 0 : 100);
		world.state.policy = round % 2 ? PICK_RANDOM : PICK_ROUND_ROBIN;
		number = pick_world_next(&world, &world.state, &picked);
		assert_in_range(number, 0, round / 1000 % 7);
		tried[0] = picked.endpoint;
		if (round % 4 == 0)
			pick_succeeded(&world.state, &picked.endpoint);
		else
			pick_failed(&world.state, &picked.endpoint);
		memcpy(world.memory, pool + at / 2, sizeof(*world.memory));
		result = pick_other(table_writer_view(world.writer), &world.state, &vip, 80,
				    PROTOCOL_TCP, tried, 1, &picked);
		assert_int_equal(result, round / 1000 % 7 == 0 ? PICK_EXHAUSTED : PICK_ENDPOINT);
		if (result == PICK_ENDPOINT)
			assert_int_not_equal(pick_world_number(&picked.endpoint), number);
	}
	pick_world_free(&world);
	free(pool);
}

#define case_of(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		case_of(test_the_key_is_the_users),
		case_of(test_a_new_segment),
		case_of(test_all_attach_the_same),
		case_of(test_a_removed_segment),
		case_of(test_what_is_refused),
		case_of(test_processes_race_to_make_it),
		case_of(test_processes_share_a_round),
		case_of(test_short_lived_programs_share_a_round),
		case_of(test_tables_of_two_writers_share_a_round),
		cmocka_unit_test(test_threads_share_a_round),
		cmocka_unit_test(test_many_services_have_a_cursor),
		cmocka_unit_test(test_cursor_keys_differ),
		cmocka_unit_test(test_garbage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
