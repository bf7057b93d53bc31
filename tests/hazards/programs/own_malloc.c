// SPDX-License-Identifier: Apache-2.0
/*
 * own_malloc VIP PORT COUNT: a program with an allocator of its own, linked in and exported. Each
 * block carries a mark in front of it; one that is given back without it, or twice, came from
 * another allocator and ends the program with status
 * 99. Three threads of it take and give back memory while it connects COUNT times. At its end it
 * prints how many blocks the threads other than its own have taken: "others N".
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dial.h"

#define MARK_TAKEN 0x6b38736c62746b6eull
#define MARK_FREED 0x6b38736c62667265ull
#define CHUNK_SIZE ((size_t)64 << 20)

/* In front of each block, so that blocks stay aligned. */
struct header {
	uint64_t mark;
	size_t size;
};

static _Alignas(16) char first[1 << 20]; /* before mmap() may be called: the loader allocates too */
static char *at = first;
static char *end = first + sizeof(first);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool is_ours __attribute__((tls_model("initial-exec")));
static size_t others;

static _Noreturn void fail(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	_exit(written < 0 ? 98 : 99);
}

/* Nothing is used again, so that a block that is given back stays marked as such. */
static void *take(size_t size, size_t alignment)
{
	struct header *header;
	uintptr_t block;

	pthread_mutex_lock(&lock);
	block = ((uintptr_t)at + sizeof(*header) + alignment - 1) & ~(uintptr_t)(alignment - 1);
	if (block + size > (uintptr_t)end) {
		at = mmap(NULL, CHUNK_SIZE + size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (at == MAP_FAILED)
			fail("out of memory\n");
		end = at + CHUNK_SIZE + size;
		block = ((uintptr_t)at + sizeof(*header) + alignment - 1) &
			~(uintptr_t)(alignment - 1);
	}
	at = (char *)((block + size + 15) & ~(uintptr_t)15);
	others += !is_ours;
	pthread_mutex_unlock(&lock);
	header = (struct header *)block - 1;
	header->mark = MARK_TAKEN;
	header->size = size;
	return (void *)block;
}

static struct header *header_of(void *block)
{
	struct header *header = (struct header *)block - 1;

	if (header->mark == MARK_FREED)
		fail("a block was given back twice\n");
	if (header->mark != MARK_TAKEN)
		fail("a block of another allocator was given back\n");
	return header;
}

void *malloc(size_t size)
{
	return take(size, 16);
}

void free(void *block)
{
	if (block)
		header_of(block)->mark = MARK_FREED;
}

/* What mmap() gives is zero, and nothing is used twice. */
void *calloc(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	return take(total, 16);
}

void *realloc(void *block, size_t size)
{
	size_t old = block ? header_of(block)->size : 0;
	void *made = take(size, 16);

	memcpy(made, block ? block : made, old < size ? old : size);
	free(block);
	return made;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	*block = take(size, alignment < 16 ? 16 : alignment);
	return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return take(size, alignment < 16 ? 16 : alignment);
}

void *memalign(size_t alignment, size_t size);

void *memalign(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

size_t malloc_usable_size(void *block);

size_t malloc_usable_size(void *block)
{
	return block ? header_of(block)->size : 0;
}

static void *churn(void *ended)
{
	is_ours = true;
	for (unsigned i = 0; !__atomic_load_n((bool *)ended, __ATOMIC_RELAXED); i++) {
		void *volatile block = malloc(i % 300);

		block = realloc(block, i % 700);
		free(block);
		usleep(100);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static bool ended;
	pthread_t threads[3];
	struct sockaddr_in vip;

	if (argc < 4)
		return 2;
	is_ours = true;
	others = 0;
	vip = dial_address(argv[1], argv[2]);
	for (unsigned i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, churn, &ended);
	for (int i = atoi(argv[3]); i > 0; i--)
		dial_and_tell("main", &vip);
	__atomic_store_n(&ended, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("others %zu\n", others);
	return 0;
}
