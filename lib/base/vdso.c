// SPDX-License-Identifier: Apache-2.0
#include "base/vdso.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/atomic.h"
#include "base/keep_errno.h"

/* vdso(7) */
#if defined(__x86_64__)
#define CLOCK_NAME "__vdso_clock_gettime"
#else
#define CLOCK_NAME "__kernel_clock_gettime"
#endif

/* More names than any vDSO has had; a wrong image is not walked for ever. */
#define MOST_SYMBOLS 4096u

typedef long clock_call(clockid_t clock, struct timespec *ret_time);

static clock_call *clock_found;

struct image {
	uintptr_t bias;
	const ElfW(Sym) *symbols;
	const char *names;
	uint32_t count;
};

static uint32_t count_of_gnu_hash(const uint32_t *hash)
{
	uint32_t buckets = hash[0];
	uint32_t first = hash[1];
	const uint32_t *bucket = hash + 4 + hash[2] * (sizeof(size_t) / sizeof(uint32_t));
	const uint32_t *chain = bucket + buckets;
	uint32_t last = 0;

	for (uint32_t i = 0; i < buckets; i++) {
		if (bucket[i] > last)
			last = bucket[i];
	}
	if (last < first)
		return 0;
	while (last < MOST_SYMBOLS && !(chain[last - first] & 1))
		last++;
	return last + 1;
}

/* The image is the kernel's own: what it says of itself is so. */
static int read_image(uintptr_t base, struct image *ret_image)
{
	const ElfW(Ehdr) *header = (const void *)base;
	const ElfW(Phdr) *segments = (const void *)(base + header->e_phoff);
	const ElfW(Dyn) *dynamic = NULL;
	struct image image = {.symbols = NULL};

	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD && !image.bias)
			image.bias = base + segments[i].p_offset - segments[i].p_vaddr;
		if (segments[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(base + segments[i].p_offset);
	}
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		const void *at = (const void *)(image.bias + dynamic->d_un.d_ptr);

		if (dynamic->d_tag == DT_SYMTAB)
			image.symbols = at;
		else if (dynamic->d_tag == DT_STRTAB)
			image.names = at;
		else if (dynamic->d_tag == DT_HASH)
			image.count = ((const uint32_t *)at)[1];
		else if (dynamic->d_tag == DT_GNU_HASH && !image.count)
			image.count = count_of_gnu_hash(at);
	}
	*ret_image = image;
	return image.symbols && image.names ? 0 : -1;
}

void vdso_init(void)
{
	KEEP_ERRNO();
	uintptr_t base = getauxval(AT_SYSINFO_EHDR);
	struct image image;

	if (!base || read_image(base, &image) < 0)
		return;
	for (uint32_t i = 0; i < image.count && i < MOST_SYMBOLS; i++) {
		const ElfW(Sym) *symbol = &image.symbols[i];

		if (symbol->st_shndx != SHN_UNDEF &&
		    strcmp(image.names + symbol->st_name, CLOCK_NAME) == 0) {
			union {
				uintptr_t address;
				clock_call *call;
			} found = {.address = image.bias + symbol->st_value};

			poke_pointer(&clock_found, found.call);
			return;
		}
	}
}

/* Not raw_syscall(), which writes errno. */
static long ask_kernel(clockid_t clock, struct timespec *ret_time)
{
#if defined(__x86_64__)
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_clock_gettime), "D"(clock), "S"(ret_time)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_clock_gettime;
	register long x0 __asm__("x0") = clock;
	register struct timespec *x1 __asm__("x1") = ret_time;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
	return x0;
#else
	(void)clock;
	(void)ret_time;
	return -1;
#endif
}

uint64_t vdso_coarse_ms(void)
{
	clock_call *call = peek_pointer(&clock_found);
	struct timespec now;

	if ((call ? call : ask_kernel)(CLOCK_MONOTONIC_COARSE, &now) != 0)
		return UINT64_MAX;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
