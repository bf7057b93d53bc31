// SPDX-License-Identifier: Apache-2.0
#include "pick/health.h"

#include <stddef.h>

#include "base/hash.h"

/* Others change a word between our look and our claim; that often in a row only garbage does. */
#define CLAIM_TRIES 8

#define SETS		 (HEALTH_SLOTS / HEALTH_WAYS)
#define FARTHEST_BUSY_MS ((uint64_t)HEALTH_LONGEST_MS + HEALTH_KEEP_MS)
#define LONGEST_IN_A_ROW 63u
#define MOST_FAILURES	 255u /* and most probes that tell nothing */

/* What a slot's word says: until_ms << 16 | ejections << 8 | failures, probing in bit 15, wanted in
 * bit 14. */
struct record {
	uint64_t until_ms;  /* end of the ejection or probe; without one: of the last failure */
	unsigned ejections; /* in a row; 0: it was not ejected yet */
	unsigned failures;  /* in a row, before the first ejection; after it: probes in a row that
			       told nothing */
	bool probing;
	bool wanted; /* since the last probe somebody was about to use it */
};

static uint64_t pack(const struct record *record)
{
	return record->until_ms << 16 | (uint64_t)record->probing << 15 |
	       (uint64_t)record->wanted << 14 | (uint64_t)record->ejections << 8 | record->failures;
}

/* What still counts of @word; all zero: nothing. */
static struct record unpack(uint64_t word, uint64_t now_ms)
{
	struct record record = {
		.until_ms = word >> 16,
		.ejections = word >> 8 & LONGEST_IN_A_ROW,
		.failures = word & MOST_FAILURES,
		.probing = word >> 15 & 1,
		.wanted = word >> 14 & 1,
	};

	if (record.until_ms > now_ms + HEALTH_LONGEST_MS ||
	    now_ms >= record.until_ms + HEALTH_KEEP_MS)
		return (struct record){0};
	return record;
}

static bool is_ejected(const struct record *record, uint64_t now_ms)
{
	return record->ejections > 0 && record->until_ms > now_ms;
}

/* A record without an ejection, whose time is to come, is one of a suspect. */
static bool is_suspected(const struct record *record, uint64_t now_ms)
{
	return record->ejections == 0 && record->failures > 0 && record->until_ms > now_ms;
}

static bool is_half_open(const struct record *record, uint64_t now_ms)
{
	return record->ejections > 0 && record->until_ms <= now_ms;
}

/* A suspect is probed at once: nobody knows yet whether it is dead. Its time may be over: the one
 * who probes looks but once a second. */
static bool may_be_probed(const struct record *record, uint64_t now_ms)
{
	if (record->ejections > 0)
		return is_half_open(record, now_ms);
	return record->failures > 0 && record->wanted && !record->probing;
}

uint64_t health_key(const struct table_endpoint *endpoint)
{
	uint64_t key = hash_bytes(hash_mix(endpoint->uid_hash) ^ endpoint->port,
				  endpoint->address.bytes, sizeof(endpoint->address.bytes));

	return key ? key : 1;
}

static struct health_slot *set_of(struct health *health, uint64_t key)
{
	return &health->slots[(key & (SETS - 1)) * HEALTH_WAYS];
}

static struct health_slot *find(struct health *health, uint64_t key)
{
	struct health_slot *set = set_of(health, key);

	for (unsigned way = 0; way < HEALTH_WAYS; way++) {
		if (peek_u64(&set[way].key) == key)
			return &set[way];
	}
	return NULL;
}

/* A slot for a new record: one that says nothing any more, else the one that ends first. NULL:
 * another thread changed it at the same time. */
static struct health_slot *take_slot(struct health *health, uint64_t key, uint64_t now_ms)
{
	struct health_slot *set = set_of(health, key);
	struct health_slot *slot = set;
	uint64_t slot_word = 0;
	uint64_t earliest_ms = UINT64_MAX;

	for (unsigned way = 0; way < HEALTH_WAYS; way++) {
		uint64_t word = peek_u64(&set[way].word);
		uint64_t until_ms = unpack(word, now_ms).until_ms; /* 0 when it says nothing */

		if (until_ms < earliest_ms) {
			slot = &set[way];
			slot_word = word;
			earliest_ms = until_ms;
		}
	}
	/* Emptied before it changes hands: nobody is held what another one did. */
	if (slot_word && !claim_u64(&slot->word, slot_word, 0))
		return NULL;
	poke_u64(&slot->key, key);
	return slot;
}

static struct health_slot *find_or_take(struct health *health, uint64_t key, uint64_t now_ms)
{
	struct health_slot *slot = find(health, key);

	return slot ? slot : take_slot(health, key, now_ms);
}

/* The first failure of a row. */
static void note_since(struct health *health, const struct health_slot *slot,
		       const struct record *before, uint64_t now_ms)
{
	if (!before->ejections && !before->failures)
		poke_u64(&health->since_ms[slot - health->slots], now_ms);
}

/* Some record counts until @until_ms and is kept for a while. */
static void note_busy(struct health *health, uint64_t until_ms, uint64_t now_ms)
{
	uint64_t wanted = until_ms + HEALTH_KEEP_MS;

	for (int tries = 0; tries < CLAIM_TRIES; tries++) {
		uint64_t busy = peek_u64(&health->busy_until_ms);

		if (busy >= wanted && busy <= now_ms + FARTHEST_BUSY_MS)
			return;
		if (claim_u64(&health->busy_until_ms, busy, wanted))
			return;
	}
}

/* No record counts. Also brings garbage in the word back to where it runs out. */
static bool is_over(struct health *health, uint64_t now_ms)
{
	uint64_t busy = peek_u64(&health->busy_until_ms);

	if (busy > now_ms + FARTHEST_BUSY_MS)
		claim_u64(&health->busy_until_ms, busy, now_ms + FARTHEST_BUSY_MS);
	if (busy > now_ms)
		return false;
	if (busy)
		claim_u64(&health->busy_until_ms, busy, 0);
	return true;
}

enum health_state health_look(struct health *health, uint64_t key, uint64_t now_ms)
{
	struct health_slot *slot;
	struct record record;

	if (is_over(health, now_ms))
		return HEALTH_GOOD;
	slot = find(health, key);
	if (!slot)
		return HEALTH_GOOD;
	record = unpack(peek_u64(&slot->word), now_ms);
	if (is_half_open(&record, now_ms))
		return HEALTH_HALF_OPEN;
	return is_ejected(&record, now_ms) || is_suspected(&record, now_ms) ? HEALTH_EJECTED
									    : HEALTH_GOOD;
}

bool health_claim_probe(struct health *health, const struct health_rules *rules, uint64_t key,
			uint64_t now_ms)
{
	struct health_slot *slot = find(health, key);
	struct record record;
	uint64_t word;

	if (!slot)
		return false;
	word = peek_u64(&slot->word);
	record = unpack(word, now_ms);
	if (!may_be_probed(&record, now_ms))
		return false;
	/* The last one told nothing. Each begins the time anew for which the record is kept. */
	if (record.probing && ++record.failures >= MOST_FAILURES) {
		claim_u64(&slot->word, word, 0);
		return false;
	}
	record.probing = true;
	record.wanted = false;
	record.until_ms = now_ms + (rules->probe_ms < HEALTH_LONGEST_MS ? rules->probe_ms
									: HEALTH_LONGEST_MS);
	if (!claim_u64(&slot->word, word, pack(&record)))
		return false;
	note_busy(health, record.until_ms, now_ms);
	return true;
}

void health_want(struct health *health, uint64_t key, uint64_t now_ms)
{
	struct health_slot *slot = find(health, key);
	struct record record;
	uint64_t word;

	if (!slot)
		return;
	word = peek_u64(&slot->word);
	record = unpack(word, now_ms);
	if (record.ejections == 0 || record.wanted)
		return;
	record.wanted = true;
	claim_u64(&slot->word, word, pack(&record));
}

static bool is_to_probe(const struct health_slot *slot, uint64_t now_ms)
{
	struct record record = unpack(peek_u64(&slot->word), now_ms);

	return record.wanted && may_be_probed(&record, now_ms);
}

bool health_any_to_probe(const struct health *health, uint64_t now_ms)
{
	if (health_is_quiet(health))
		return false;
	for (unsigned i = 0; i < HEALTH_SLOTS; i++) {
		if (is_to_probe(&health->slots[i], now_ms))
			return true;
	}
	return false;
}

bool health_is_to_probe(struct health *health, uint64_t key, uint64_t now_ms)
{
	const struct health_slot *slot = find(health, key);

	return slot && is_to_probe(slot, now_ms);
}

static uint64_t ejection_ms(const struct health_rules *rules, unsigned nth, uint64_t random)
{
	uint64_t longest = (rules->max_ms < HEALTH_LONGEST_MS ? rules->max_ms : HEALTH_LONGEST_MS);
	uint64_t half = (uint64_t)rules->base_ms << (nth < 32 ? nth - 1 : 31);

	if (half > longest / 2)
		half = longest / 2;
	return half + random % (half + 1);
}

bool health_failure(struct health *health, const struct health_rules *rules, uint64_t key,
		    uint64_t now_ms, uint64_t random)
{
	for (int tries = 0; tries < CLAIM_TRIES; tries++) {
		struct health_slot *slot = find_or_take(health, key, now_ms);
		struct record record;
		uint64_t word;

		if (!slot)
			continue;
		word = peek_u64(&slot->word);
		record = unpack(word, now_ms);
		if (is_ejected(&record, now_ms) && !record.probing)
			return false;
		note_since(health, slot, &record, now_ms);
		if (record.ejections || record.failures + 1 >= rules->failures) {
			record.failures = 0;
			record.probing = false;
			record.wanted = false;
			record.ejections += record.ejections < LONGEST_IN_A_ROW;
			record.until_ms = now_ms + ejection_ms(rules, record.ejections, random);
		} else {
			record.failures++;
			record.until_ms = now_ms;
		}
		if (!claim_u64(&slot->word, word, pack(&record)))
			continue;
		note_busy(health, record.until_ms, now_ms);
		return record.ejections > 0;
	}
	return false;
}

bool health_suspect(struct health *health, const struct health_rules *rules, uint64_t key,
		    uint64_t now_ms, uint64_t random)
{
	struct record suspect = {
		.until_ms = now_ms + HEALTH_SUSPECT_MS,
		.failures = 1,
		.wanted = true,
	};

	for (int tries = 0; tries < CLAIM_TRIES; tries++) {
		struct health_slot *slot = find_or_take(health, key, now_ms);
		struct record record;
		uint64_t word;

		if (!slot)
			continue;
		word = peek_u64(&slot->word);
		record = unpack(word, now_ms);
		if (is_suspected(&record, now_ms))
			return false;
		if (record.ejections || record.failures)
			return health_failure(health, rules, key, now_ms, random);
		note_since(health, slot, &record, now_ms);
		if (!claim_u64(&slot->word, word, pack(&suspect)))
			continue;
		note_busy(health, suspect.until_ms, now_ms);
		return false;
	}
	return false;
}

void health_success(struct health *health, uint64_t key)
{
	struct health_slot *set = set_of(health, key);

	if (health_is_quiet(health))
		return;
	/* All of the set: two failures at one instant may have made two records of one endpoint. */
	for (unsigned way = 0; way < HEALTH_WAYS; way++) {
		if (peek_u64(&set[way].key) == key) {
			uint64_t word = peek_u64(&set[way].word);

			/* A failure that comes in between is newer, and counts. */
			if (word)
				claim_u64(&set[way].word, word, 0);
		}
	}
}

/* ---- for people ---- */

struct health_told health_tell(const struct health *health, uint64_t key, uint64_t now_ms)
{
	uint64_t first = (key & (SETS - 1)) * HEALTH_WAYS;
	struct health_told told = {0};

	for (uint64_t at = first; at < first + HEALTH_WAYS; at++) {
		uint64_t since_ms = peek_u64(&health->since_ms[at]);
		struct record record;

		if (peek_u64(&health->slots[at].key) != key)
			continue;
		record = unpack(peek_u64(&health->slots[at].word), now_ms);
		if ((record.ejections || record.failures) && since_ms <= now_ms)
			told.since_ms = since_ms;
		told.until_ms = record.until_ms;
		told.in_a_row = record.ejections ? record.ejections : record.failures;
		if (record.probing && record.until_ms > now_ms)
			told.state = HEALTH_TOLD_PROBED;
		else if (is_suspected(&record, now_ms))
			told.state = HEALTH_TOLD_SUSPECTED;
		else if (is_ejected(&record, now_ms))
			told.state = HEALTH_TOLD_AVOIDED;
		else if (is_half_open(&record, now_ms))
			told.state = HEALTH_TOLD_TO_PROBE;
		break;
	}
	return told;
}

const char *health_word(enum health_told_state state)
{
	static const char *const words[] = {
		[HEALTH_TOLD_GOOD] = "good",	     [HEALTH_TOLD_SUSPECTED] = "suspected",
		[HEALTH_TOLD_AVOIDED] = "avoided",   [HEALTH_TOLD_TO_PROBE] = "to probe",
		[HEALTH_TOLD_PROBED] = "probed",
	};

	return words[state];
}
