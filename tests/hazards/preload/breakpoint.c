// SPDX-License-Identifier: Apache-2.0
/* Puts a breakpoint, as a debugger or an uprobe does, into the page of Go's Syscall6 of the program, where nothing
 * comes by. Its constructor runs before those of libraries that are preloaded before it. */
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static const uint8_t call[] = {0x49, 0x89, 0xf2, 0x48, 0x89, 0xfa, 0x48, 0x89, 0xce, 0x48, 0x89, 0xdf, 0x0f, 0x05};
static const uint8_t padding[] = {0xcc, 0xcc};

static int put(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size;
	(void)unused;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uint8_t *text = (uint8_t *)(info->dlpi_addr + segment->p_vaddr);
		uint8_t *at, *page, *free_place;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		at = memmem(text, segment->p_filesz, call, sizeof(call));
		if (!at)
			continue;
		page = at - (uintptr_t)at % 4096;
		free_place = memmem(page, 4096, padding, sizeof(padding));
		if (!free_place || mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
			continue;
		*free_place = 0x90;
		mprotect(page, 4096, PROT_READ | PROT_EXEC);
	}
	return 1; /* the program itself alone */
}

__attribute__((constructor)) static void begin(void)
{
	dl_iterate_phdr(put, NULL);
}
