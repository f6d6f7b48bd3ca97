/*
** frozen.c - the block of iocp.Frozen, without Lua: its strings, its tables, and how a key is found.
**
** While it is made the block is its maker's alone; afterwards nothing here writes.
*/

#include <stdlib.h>
#include <string.h>

#include "work/frozen.h"
#include "work/work.h"

enum { FIRST_ROOM = 64 };

static const uint32_t MOST = 0x7fffffff; /* of anything that is counted */

static void free_frozen(iocp_object *object)
{
	iocp_frozen *frozen = (iocp_frozen *)object; /* its first member */
	uint32_t i;
	for (i = 0; i < frozen->other_count; i++)
		frozen->discard(iocp_frozen_other(frozen, i));
	free(frozen->others);
	free(frozen->bytes);
	free(frozen->strings);
	free(frozen->heads);
	free(frozen->memory);
	free(frozen->tables);
	free(frozen->found);
	free(frozen);
}

int iocp_frozen_create(size_t other_size, void (*discard)(void *other), iocp_frozen **frozen)
{
	iocp_frozen *made = calloc(1, sizeof(*made));
	int r;
	if (!made)
		return IOCP_NOMEM;
	made->other_size = other_size;
	made->discard = discard;
	made->seed = iocp_hash_seed(made);
	r = iocp_object_register(&made->object, IOCP_KIND_FROZEN, made, free_frozen);
	if (r == IOCP_OK)
		*frozen = made;
	else
		free(made);
	return r;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* Room for one more of `count`, each of `size` bytes, in memory that has it for `room`. */
static int more(void *memory, size_t size, uint32_t count, uint32_t *room)
{
	uint32_t larger = *room ? *room * 2 : FIRST_ROOM;
	void *moved;
	if (count < *room)
		return IOCP_OK;
	if (count >= MOST)
		return IOCP_NOMEM;
	memcpy(&moved, memory, sizeof(moved));
	moved = realloc(moved, larger * size);
	if (!moved)
		return IOCP_NOMEM;
	memcpy(memory, &moved, sizeof(moved));
	*room = larger;
	return IOCP_OK;
}

/* Room for `size` bytes more. */
static int more_bytes(void *memory, size_t size, size_t used, size_t *room)
{
	size_t larger = *room ? *room : FIRST_ROOM;
	void *moved;
	if (size <= *room - used)
		return IOCP_OK;
	if (size > SIZE_MAX / 4 - used)
		return IOCP_NOMEM;
	while (larger - used < size)
		larger *= 2;
	memcpy(&moved, memory, sizeof(moved));
	moved = realloc(moved, larger);
	if (!moved)
		return IOCP_NOMEM;
	memcpy(memory, &moved, sizeof(moved));
	*room = larger;
	return IOCP_OK;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* The head where the string is, or the empty one where it would be. */
static uint32_t *find_head(const iocp_frozen *frozen, const char *bytes, size_t length, uint32_t hash)
{
	uint32_t i = hash & frozen->head_mask;
	while (frozen->heads[i]) {
		const iocp_frozen_string *s = &frozen->strings[frozen->heads[i] - 1];
		/* While only the empty one is there, there are no bytes. */
		if (s->hash == hash && s->length == length && (!length || memcmp(frozen->bytes + s->at, bytes, length) == 0))
			break;
		i = (i + 1) & frozen->head_mask;
	}
	return &frozen->heads[i];
}

/* Heads for one string more, of which at least a third is empty. */
static int more_heads(iocp_frozen *frozen)
{
	size_t count = frozen->heads ? (size_t)frozen->head_mask + 1 : 0, larger = count ? count * 2 : FIRST_ROOM;
	uint32_t *heads, i;
	if (frozen->string_count < count / 3 * 2)
		return IOCP_OK;
	heads = calloc(larger, sizeof(*heads));
	if (!heads)
		return IOCP_NOMEM;
	free(frozen->heads);
	frozen->heads = heads;
	frozen->head_mask = (uint32_t)(larger - 1);
	for (i = 0; i < frozen->string_count; i++) {
		uint32_t at = frozen->strings[i].hash & frozen->head_mask;
		while (heads[at])
			at = (at + 1) & frozen->head_mask;
		heads[at] = i + 1;
	}
	return IOCP_OK;
}

int iocp_frozen_add_string(iocp_frozen *frozen, const char *bytes, size_t length, uint32_t *number)
{
	uint32_t hash = (uint32_t)iocp_hash(frozen->seed, bytes, length), *head;
	if (length > MOST || more_heads(frozen) != IOCP_OK)
		return IOCP_NOMEM;
	head = find_head(frozen, bytes, length, hash);
	if (*head) {
		*number = *head - 1;
		return IOCP_OK;
	}
	if (more(&frozen->strings, sizeof(*frozen->strings), frozen->string_count, &frozen->string_room) != IOCP_OK
		|| more_bytes(&frozen->bytes, length, frozen->bytes_used, &frozen->bytes_room) != IOCP_OK)
		return IOCP_NOMEM;
	if (length)
		memcpy(frozen->bytes + frozen->bytes_used, bytes, length);
	frozen->strings[frozen->string_count] = (iocp_frozen_string){frozen->bytes_used, (uint32_t)length, hash};
	frozen->bytes_used += length;
	*number = frozen->string_count++;
	*head = frozen->string_count;
	return IOCP_OK;
}

int64_t iocp_frozen_find_string(const iocp_frozen *frozen, const char *bytes, size_t length)
{
	uint32_t head =
		frozen->heads ? *find_head(frozen, bytes, length, (uint32_t)iocp_hash(frozen->seed, bytes, length)) : 0;
	return (int64_t)head - 1;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Strings by their own hash, anything else by its bits. Source of the mixing: MurmurHash3, Appleby. */
static uint32_t hash_of(const iocp_frozen_string *strings, iocp_frozen_bits key, uint8_t tag)
{
	uint64_t x = key.bits + tag;
	if (tag == IOCP_FROZEN_STRING)
		return strings[key.index].hash;
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (uint32_t)(x ^ x >> 33);
}

void *iocp_frozen_other(const iocp_frozen *frozen, uint64_t number)
{
	return (char *)frozen->others + number * frozen->other_size;
}

int iocp_frozen_add_other(iocp_frozen *frozen, void **other)
{
	int r = more(&frozen->others, frozen->other_size, frozen->other_count, &frozen->other_room);
	if (r == IOCP_OK) {
		*other = iocp_frozen_other(frozen, frozen->other_count++);
		memset(*other, 0, frozen->other_size);
	}
	return r;
}

int iocp_frozen_add_pair(iocp_frozen *frozen, iocp_frozen_value key, iocp_frozen_value value)
{
	int r = more(&frozen->found, sizeof(*frozen->found), frozen->found_count, &frozen->found_room);
	if (r == IOCP_OK)
		frozen->found[frozen->found_count++] =
			(iocp_frozen_entry){key.value, value.value, (uint8_t)key.tag, (uint8_t)value.tag, 0, 0};
	return r;
}

/* How many heads a table with so many entries has: at least half as many more as those. */
static size_t heads_for(uint32_t entries)
{
	size_t count = 1;
	while (count * 2 < (size_t)entries * 3)
		count *= 2;
	return entries ? count : 0;
}

static void write_elements(iocp_frozen_table *table, const iocp_frozen_entry *found)
{
	iocp_frozen_bits *values = (iocp_frozen_bits *)(table + 1);
	uint8_t *tags = (uint8_t *)(values + table->elements);
	uint32_t i;
	for (i = 0; i < table->elements; i++) {
		values[i] = found[i].value;
		tags[i] = found[i].value_tag;
	}
}

static void write_entries(const iocp_frozen *frozen, iocp_frozen_table *table, const iocp_frozen_entry *found)
{
	iocp_frozen_entry *entries = (iocp_frozen_entry *)(uintptr_t)iocp_frozen_entries(table);
	uint32_t *heads = (uint32_t *)(entries + table->entries), i;
	for (i = 0; i < table->entries; i++) {
		uint32_t *head = &heads[hash_of(frozen->strings, found[i].key, found[i].key_tag) & table->mask];
		entries[i] = found[i];
		entries[i].next = *head;
		*head = i + 1;
	}
}

int iocp_frozen_add_table(iocp_frozen *frozen, uint32_t elements, uint32_t length, uint32_t metatable)
{
	uint32_t entries = frozen->found_count - elements;
	size_t heads = heads_for(entries), tags = ((size_t)elements + 7) & ~(size_t)7;
	size_t size = sizeof(iocp_frozen_table) + elements * sizeof(iocp_frozen_bits) + tags
				  + entries * sizeof(iocp_frozen_entry) + ((heads * sizeof(uint32_t) + 7) & ~(size_t)7);
	iocp_frozen_table *table;
	if (more(&frozen->tables, sizeof(*frozen->tables), frozen->table_count, &frozen->table_room) != IOCP_OK
		|| more_bytes(&frozen->memory, size, frozen->memory_used, &frozen->memory_room) != IOCP_OK)
		return IOCP_NOMEM;
	table = (iocp_frozen_table *)(frozen->memory + frozen->memory_used);
	memset(table, 0, size);
	*table = (iocp_frozen_table){elements, entries, (uint32_t)(heads ? heads - 1 : 0), length, metatable, 0};
	write_elements(table, frozen->found);
	write_entries(frozen, table, frozen->found + elements);
	frozen->tables[frozen->table_count++] = frozen->memory_used;
	frozen->memory_used += size;
	frozen->found_count = 0;
	return IOCP_OK;
}

/* The same memory, or where it has shrunk to: `size` bytes that are used. */
static void *shrunk(void *memory, size_t size)
{
	void *moved = memory && size ? realloc(memory, size) : NULL;
	return moved ? moved : memory;
}

void iocp_frozen_finish(iocp_frozen *frozen)
{
	free(frozen->found);
	frozen->found = NULL;
	frozen->bytes = shrunk(frozen->bytes, frozen->bytes_used);
	frozen->strings = shrunk(frozen->strings, frozen->string_count * sizeof(*frozen->strings));
	frozen->memory = shrunk(frozen->memory, frozen->memory_used);
	frozen->tables = shrunk(frozen->tables, frozen->table_count * sizeof(*frozen->tables));
	frozen->view = (iocp_frozen_view){frozen->bytes, frozen->strings};
}

size_t iocp_frozen_size(const iocp_frozen *frozen)
{
	size_t size = sizeof(*frozen) + frozen->bytes_used + frozen->memory_used;
	size += frozen->string_count * sizeof(*frozen->strings) + frozen->table_count * sizeof(*frozen->tables);
	size += frozen->heads ? ((size_t)frozen->head_mask + 1) * sizeof(*frozen->heads) : 0;
	return size + frozen->other_count * frozen->other_size;
}

/* ---- lookup ------------------------------------------------------------------------------------------------------ */

/* The entry with that key, of that hash. */
static const iocp_frozen_entry *find_entry(
	const iocp_frozen_table *table, uint64_t bits, enum iocp_frozen_tag tag, uint32_t hash)
{
	const iocp_frozen_entry *entries = iocp_frozen_entries(table);
	uint32_t i = table->entries ? ((const uint32_t *)(entries + table->entries))[hash & table->mask] : 0;
	for (; i; i = entries[i - 1].next)
		if (entries[i - 1].key.bits == bits && entries[i - 1].key_tag == tag)
			return &entries[i - 1];
	return NULL;
}

const iocp_frozen_entry *iocp_frozen_find_field(
	const iocp_frozen_view *view, const iocp_frozen_table *table, uint32_t string)
{
	return find_entry(table, string, IOCP_FROZEN_STRING, view->strings[string].hash);
}

/* Which element a key would be, from 1 on; 0: it is none. */
static uint64_t element_of(iocp_frozen_value key)
{
	if (key.tag == IOCP_FROZEN_INTEGER)
		return key.value.integer > 0 ? (uint64_t)key.value.integer : 0;
	if (key.tag != IOCP_FROZEN_FLOAT || !(key.value.number >= 1 && key.value.number <= MOST))
		return 0;
	return (double)(uint64_t)key.value.number == key.value.number ? (uint64_t)key.value.number : 0;
}

int64_t iocp_frozen_find(const iocp_frozen *frozen, const iocp_frozen_table *table, iocp_frozen_value key)
{
	const iocp_frozen_entry *entry;
	uint64_t element = element_of(key);
	if (element && element <= table->elements)
		return (int64_t)element - 1;
	entry = find_entry(table, key.value.bits, key.tag, hash_of(frozen->strings, key.value, (uint8_t)key.tag));
	return entry ? (int64_t)table->elements + (entry - iocp_frozen_entries(table)) : IOCP_FROZEN_NONE;
}
