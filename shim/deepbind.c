// SPDX-License-Identifier: Apache-2.0
/*
 * Objects that were opened with RTLD_DEEPBIND (PHP opens its extensions so) find libc before us:
 * their references of the calls that we intercept are pointed at ours.
 *
 * To clear the flag would change what all their other symbols mean: a plugin that brings a library
 * of its own would get the program's. So only a slot that holds what our hook hands on to is
 * changed, and nothing else of the object.
 *
 * The moment: nothing of dlopen(3) tells that an object is bound, and to stand in its place would
 * hide from it who calls, by whose RUNPATH and $ORIGIN it searches. But crti.o, which nearly every
 * object is linked with, calls a function of this name at the begin of its initialization, if there
 * is one (it is meant for profiling, gcrt1.o). By then all that is opened together is bound and
 * sealed, the loader's lock is this thread's, and no function of the object has run but of those
 * that it depends on.
 */
#include "deepbind.h"

#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/keep_errno.h"
#include "elf_object.h"
#include "engine/log_file.h"
#include "libc.h"
#include "state.h"

#if defined(__x86_64__)
#define SLOT_OF_FUNCTION R_X86_64_JUMP_SLOT
#define WORD_OF_TABLE	 R_X86_64_GLOB_DAT
#define WORD_OF_DATA	 R_X86_64_64
#elif defined(__aarch64__)
#define SLOT_OF_FUNCTION R_AARCH64_JUMP_SLOT
#define WORD_OF_TABLE	 R_AARCH64_GLOB_DAT
#define WORD_OF_DATA	 R_AARCH64_ABS64
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#define IS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define IS_SANITIZED false
#endif

/* Calls that we intercept, by their place in our own table of symbols. */
typedef uint64_t calls_mask;
#define MOST_CALLS 64u

/* An audit library is told of what the loader binds: what is not bound yet is left to it. */
static bool is_audited;

enum {
	LIBCS = 2, /* until 2.34 some calls were libpthread's, in two versions */
};

struct search {
	uintptr_t address; /* in the object that is looked for */
	const char *name;  /* of that, as long as it is loaded */
	struct elf_object self, ours, libcs[LIBCS];
	unsigned seen; /* objects */
	unsigned libc_count;
	bool has_self, has_ours;
	bool preloaded;	     /* we stand before libc, as references are looked up */
	bool sanitized;	     /* a sanitizer's runtime is here */
	calls_mask wanted;   /* of which @self has something to change */
	calls_mask others;   /* of these what somebody else defines as well */
	uintptr_t sealed_at; /* what of @self is read-only by now */
	size_t sealed_size;
};

static bool is_libc(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strcmp(name, "libc.so.6") == 0 || strcmp(name, "libpthread.so.0") == 0;
}

static bool is_one_of_libcs(const struct search *search, const void *function)
{
	for (unsigned i = 0; i < search->libc_count; i++) {
		if (elf_object_has(&search->libcs[i], (uintptr_t)function))
			return true;
	}
	return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	struct elf_object object = elf_object_placed(info);

	(void)size;
	if (elf_object_has(&object, search->address)) {
		/* The program itself, which comes first, was never opened. */
		if (search->seen == 0)
			return 1;
		search->has_self = elf_object_read(info, &search->self);
		search->name = info->dlpi_name;
	} else if (elf_object_has(&object, (uintptr_t)&look_at)) {
		search->has_ours = elf_object_read(info, &search->ours);
		search->preloaded = search->libc_count == 0;
	} else if (search->libc_count < LIBCS && is_libc(info->dlpi_name)) {
		search->libcs[search->libc_count++] = object;
	}
	search->seen++;
	return 0;
}

/* Most names need no further look. */
static bool begins_as_ours(const char *name)
{
	switch (*name) {
	case 'c':
	case 'g':
	case 'i':
	case 'p':
	case 's':
	case 'u':
		return true;
	default:
		return false;
	}
}

/* The bit of the call that this is a reference of, or 0. */
static calls_mask call_of(const struct search *search, const elf_relocation *relocation,
			  const elf_symbol **ret_ours)
{
	const struct elf_object *self = &search->self;
	const elf_symbol *symbol = &self->symbols[ELF64_R_SYM(relocation->r_info)];
	const char *name = self->names + symbol->st_name;
	uint32_t place;

	switch (ELF64_R_TYPE(relocation->r_info)) {
	case SLOT_OF_FUNCTION:
	case WORD_OF_TABLE:
	case WORD_OF_DATA:
		break;
	default:
		return 0;
	}
	/* What it defines itself is its own. */
	if (symbol->st_shndx != SHN_UNDEF || relocation->r_addend != 0 || !begins_as_ours(name))
		return 0;
	*ret_ours = elf_object_find(&search->ours, name);
	if (!*ret_ours)
		return 0;
	place = (uint32_t)(*ret_ours - search->ours.symbols) - search->ours.gnu_hash[1];
	return place < MOST_CALLS ? (calls_mask)1 << place : 0;
}

static int look_for_others(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;
	const struct elf_object *ours = &search->ours;
	const elf_symbol *first = ours->symbols + ours->gnu_hash[1];
	struct elf_object object;

	(void)size;
	if (!elf_object_read(info, &object) || object.base == ours->base ||
	    is_libc(info->dlpi_name))
		return 0;
	for (unsigned place = 0; place < MOST_CALLS; place++) {
		calls_mask call = (calls_mask)1 << place;

		if ((search->wanted & call) &&
		    elf_object_find(&object, ours->names + first[place].st_name))
			search->others |= call;
	}
	if (elf_object_find(&object, "__asan_init") || elf_object_find(&object, "__tsan_init") ||
	    elf_object_find(&object, "__msan_init") || elf_object_find(&object, "__hwasan_init"))
		search->sanitized = true;
	return 0;
}

/*
 * The function that belongs in there in place of what the loader put there, or NULL. Only where our
 * hook hands on to libc's: where another preloaded library follows us, the object's calls pass by
 * that one, too.
 * A slot that is not bound yet leads back into the object, and would get what the loader then finds
 * first: libc's, where nobody else defines the name.
 */
static void *belongs(const struct search *search, const elf_relocation *relocation)
{
	uintptr_t slot = search->self.base + relocation->r_offset;
	const elf_symbol *ours;
	calls_mask call = call_of(search, relocation, &ours);
	const void *held;

	if (!call || !elf_object_may_write(&search->self, slot) ||
	    !is_one_of_libcs(search, libc_behind(search->ours.names + ours->st_name)))
		return NULL;
	held = peek_pointer((void **)slot);
	if (!is_one_of_libcs(search, held) &&
	    (ELF64_R_TYPE(relocation->r_info) != SLOT_OF_FUNCTION || is_audited ||
	     (search->others & call) || !elf_object_has(&search->self, (uintptr_t)held)))
		return NULL;
	return (void *)(search->ours.base + ours->st_value);
}

/* The calls of which anything would change if nobody else defined them: none of most objects. */
static void find_wanted(struct search *search)
{
	const struct elf_object *self = &search->self;
	const elf_symbol *ours;

	for (size_t i = 0; i < self->slot_count; i++) {
		if (belongs(search, &self->slots[i]))
			search->wanted |= call_of(search, &self->slots[i], &ours);
	}
	for (size_t i = 0; i < self->word_count; i++) {
		if (belongs(search, &self->words[i]))
			search->wanted |= call_of(search, &self->words[i], &ours);
	}
}

enum change {
	CHANGE_NONE,
	CHANGE_OPEN,   /* where it can be written */
	CHANGE_SEALED, /* something of it is where the loader has taken that away */
};

/* What of these relocations is to be changed; @now: changes it. */
static enum change change_all(const struct search *search, const elf_relocation *relocations,
			      size_t count, bool now)
{
	enum change change = CHANGE_NONE;

	for (size_t i = 0; i < count; i++) {
		uintptr_t address = search->self.base + relocations[i].r_offset;
		void *function = belongs(search, &relocations[i]);

		if (!function)
			continue;
		if (now)
			poke_pointer((void **)address, function);
		else if (address - search->sealed_at < search->sealed_size)
			change = CHANGE_SEALED;
		else if (change == CHANGE_NONE)
			change = CHANGE_OPEN;
	}
	return change;
}

static enum change change_self(const struct search *search, bool now)
{
	const struct elf_object *self = &search->self;
	enum change slots = change_all(search, self->slots, self->slot_count, now);
	enum change words = change_all(search, self->words, self->word_count, now);

	return slots > words ? slots : words;
}

/* Whoever turns that on wonders why something is balanced, or is not. */
static void tell(const struct search *search, const char *what)
{
	char line[LOG_LINE_SIZE];

	if (shim.config.log_level < LOG_LEVEL_DEBUG)
		return;
	snprintf(line, sizeof(line), "calls of %.200s %s", search->name, what);
	log_file_write(&shim.config, LOG_LEVEL_DEBUG, line);
}

/* Data, never code: nothing is executable that was written to. */
static void point_at_ours(struct search *search)
{
	enum change change;

	elf_object_sealed(&search->self, getauxval(AT_PAGESZ), &search->sealed_at,
			  &search->sealed_size);
	change = change_self(search, false);
	if (change == CHANGE_NONE)
		return;
	/* Where that is refused all stays as it is. */
	if (change == CHANGE_SEALED &&
	    mprotect((void *)search->sealed_at, search->sealed_size, PROT_READ | PROT_WRITE) < 0) {
		tell(search, "stay libc's: mprotect() is refused");
		return;
	}
	change_self(search, true);
	if (change == CHANGE_SEALED)
		mprotect((void *)search->sealed_at, search->sealed_size, PROT_READ);
	tell(search, "are balanced");
}

/* As in <dlfcn.h> of glibc 2.35 and newer. */
struct found_object {
	unsigned long long flags;
	void *start, *end;
	void *link_map, *eh_frame;
	unsigned long long reserved[8];
};
static union {
	void *object;
	int (*call)(void *address, struct found_object *ret_object);
} find_object;

static bool read_at(void *address, struct elf_object *ret_object)
{
	struct found_object found;
	struct dl_phdr_info info;

	return find_object.call(address, &found) == 0 &&
	       elf_object_info(found.start, getauxval(AT_PAGESZ), &info) &&
	       elf_object_read(&info, ret_object);
}

static bool holds_others(const struct search *search, const elf_relocation *relocations,
			 size_t count)
{
	const elf_symbol *ours;

	for (size_t i = 0; i < count; i++) {
		uintptr_t slot = search->self.base + relocations[i].r_offset;

		if (call_of(search, &relocations[i], &ours) &&
		    elf_object_may_write(&search->self, slot) &&
		    !elf_object_has(&search->ours, (uintptr_t)peek_pointer((void **)slot)))
			return true;
	}
	return false;
}

/*
 * Of nearly every object: what it has of our names is bound to us, or it has none. Found without
 * dl_iterate_phdr(), whose lock glibc does not open in the child of a fork() that comes meanwhile:
 * dlopen() would wait there for ever.
 */
static bool is_bound_to_us(uintptr_t address)
{
	static struct elf_object ours; /* under the loader's lock */
	struct search search;

	if (!find_object.object || (!ours.symbols && !read_at((void *)&look_at, &ours)) ||
	    !ours.gnu_hash)
		return false;
	search.ours = ours;
	return !read_at((void *)address, &search.self) ||
	       (!holds_others(&search, search.self.slots, search.self.slot_count) &&
		!holds_others(&search, search.self.words, search.self.word_count));
}

static void initializes(uintptr_t address)
{
	KEEP_ERRNO();
	struct search search = {.address = address};

	if (is_bound_to_us(address))
		return;
	dl_iterate_phdr(look_at, &search);
	if (!search.has_self || !search.has_ours || !search.preloaded || !search.ours.gnu_hash)
		return;
	find_wanted(&search);
	if (!search.wanted)
		return;
	dl_iterate_phdr(look_for_others, &search);
	if (!search.sanitized)
		point_at_ours(&search);
}

void deepbind_init(const struct config_source *source)
{
	const char *audit = source->getenv(source->ctx, "LD_AUDIT");

	is_audited = audit && *audit;
	find_object.object = libc_find_object();
}

/* Calls come from each object that is linked as usual, before our constructor as well, and before a
 * sanitizer of our own is ready. */
__attribute__((visibility("default"))) void __gmon_start__(void);

void __gmon_start__(void)
{
	if (IS_SANITIZED)
		return;
	if (observe_u32(&shim.phase) == SHIM_ACTIVE && shim.config.deepbind == DEEPBIND_AUTO)
		initializes((uintptr_t)__builtin_return_address(0));
}
