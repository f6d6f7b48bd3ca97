/*
** frozen.h - the block of iocp.Frozen: a value laid out so that any state reads parts of it where they lie.
**
** Nothing of a block changes once its maker has handed out the first reference, and who has a reference got it by way
** of a packet, a thread's start or the table of objects, all of which order memory: so it is read without locks or
** atomics. No script reaches the memory, and it is trusted.
**
** A value in it is a tag and 8 bytes. Strings are there once each, and known by their numbers, as are tables; what is
** neither and no number (functions, objects, cdata) is a parcel of its own, of which each state decodes its own copy.
*/

#ifndef IOCP_FROZEN_H
#define IOCP_FROZEN_H

#include "core/object.h"

#pragma GCC visibility push(hidden)

enum { IOCP_FROZEN_NONE = -1 };

/* lua/iocp/jit/frozen.lua knows these numbers, and the structs below but for iocp_frozen. */
enum iocp_frozen_tag {
	IOCP_FROZEN_NIL, /* stands for what is not there */
	IOCP_FROZEN_FALSE,
	IOCP_FROZEN_TRUE,
	IOCP_FROZEN_INTEGER, /* only of a Lua that has them */
	IOCP_FROZEN_FLOAT,   /* as a key none that is an integer, where there are these; never -0 */
	IOCP_FROZEN_STRING,  /* its number */
	IOCP_FROZEN_TABLE,   /* its number */
	IOCP_FROZEN_POINTER, /* lightuserdata */
	IOCP_FROZEN_OTHER    /* which of `others` */
};

typedef union iocp_frozen_bits {
	uint64_t bits; /* all of them, whichever it is */
	int64_t integer;
	double number;
	uint64_t index;
} iocp_frozen_bits;

typedef struct iocp_frozen_value {
	iocp_frozen_bits value;
	enum iocp_frozen_tag tag;
} iocp_frozen_value;

typedef struct iocp_frozen_string {
	uint64_t at; /* in `bytes` */
	uint32_t length, hash;
} iocp_frozen_string;

typedef struct iocp_frozen_entry {
	iocp_frozen_bits key, value;
	uint8_t key_tag, value_tag;
	uint16_t unused;
	uint32_t next; /* entry with the same head, from 1 on; 0: none */
} iocp_frozen_entry;

/* A table: behind this the values of elements 1 to `elements`, a tag (a byte) for each up to a multiple of 8 bytes, the
** entries, and mask + 1 heads: for what has such a hash, the first entry from 1 on. Without entries no heads. */
typedef struct iocp_frozen_table {
	uint32_t elements, entries, mask;
	uint32_t length;    /* what # is */
	uint32_t metatable; /* number of the string that is its name, from 1 on; 0: it has none */
	uint32_t unused;
} iocp_frozen_table;

/* What a reader needs. */
typedef struct iocp_frozen_view {
	const char *bytes;
	const iocp_frozen_string *strings;
} iocp_frozen_view;

typedef struct iocp_frozen {
	iocp_object object;
	iocp_frozen_view view; /* once it is finished */
	char *bytes;
	iocp_frozen_string *strings;
	uint32_t *heads;  /* for what has such a hash, the string from 1 on; 0: none; probed linearly */
	uint8_t *memory;  /* of the tables */
	uint64_t *tables; /* where each lies there */
	void *others;     /* of other_size bytes each */
	size_t other_size;
	void (*discard)(void *other);
	uint64_t seed;            /* of hashes */
	iocp_frozen_entry *found; /* while it is made: the pairs of the table that is being read */
	size_t bytes_used, bytes_room, memory_used, memory_room;
	uint32_t string_count, string_room, head_mask;
	uint32_t table_count, table_room, other_count, other_room, found_count, found_room;
} iocp_frozen;

/* An empty one with one reference, for its maker. Its others have `other_size` bytes, and are discarded with it.
** IOCP_NOMEM. */
int iocp_frozen_create(size_t other_size, void (*discard)(void *other), iocp_frozen **frozen);
/* The number of the string, which is added if it is not there. IOCP_NOMEM. */
int iocp_frozen_add_string(iocp_frozen *frozen, const char *bytes, size_t length, uint32_t *number);
/* A place for another of those, zeroed. IOCP_NOMEM. */
int iocp_frozen_add_other(iocp_frozen *frozen, void **other);
void *iocp_frozen_other(const iocp_frozen *frozen, uint64_t number);
/* One more pair of the table that is being read. IOCP_NOMEM. */
int iocp_frozen_add_pair(iocp_frozen *frozen, iocp_frozen_value key, iocp_frozen_value value);
/* The pairs, of which the first `elements` are 1, 2, 3 ..., become the next table. IOCP_NOMEM. */
int iocp_frozen_add_table(iocp_frozen *frozen, uint32_t elements, uint32_t length, uint32_t metatable);
/* It is complete, and takes no more memory than that. */
void iocp_frozen_finish(iocp_frozen *frozen);
/* Bytes that it takes, but for what its others refer to. */
size_t iocp_frozen_size(const iocp_frozen *frozen);

/* The number of a string; IOCP_FROZEN_NONE. */
int64_t iocp_frozen_find_string(const iocp_frozen *frozen, const char *bytes, size_t length);
/* The entry with the string of this number as its key; NULL. */
const iocp_frozen_entry *iocp_frozen_find_field(
	const iocp_frozen_view *view, const iocp_frozen_table *table, uint32_t string);
/* Where the key is in a table, from 0 on: first the elements, then the entries; IOCP_FROZEN_NONE. */
int64_t iocp_frozen_find(const iocp_frozen *frozen, const iocp_frozen_table *table, iocp_frozen_value key);

static inline const iocp_frozen_table *iocp_frozen_table_at(const iocp_frozen *frozen, uint64_t number)
{
	return (const iocp_frozen_table *)(frozen->memory + frozen->tables[number]);
}

static inline const iocp_frozen_bits *iocp_frozen_elements(const iocp_frozen_table *table)
{
	return (const iocp_frozen_bits *)(table + 1);
}

static inline const uint8_t *iocp_frozen_element_tags(const iocp_frozen_table *table)
{
	return (const uint8_t *)(iocp_frozen_elements(table) + table->elements);
}

static inline const iocp_frozen_entry *iocp_frozen_entries(const iocp_frozen_table *table)
{
	size_t tags = ((size_t)table->elements + 7) & ~(size_t)7;
	return (const iocp_frozen_entry *)(iocp_frozen_element_tags(table) + tags);
}

/* What is at a place that find gave. */
static inline iocp_frozen_value iocp_frozen_value_at(const iocp_frozen_table *table, uint64_t place)
{
	const iocp_frozen_entry *entry;
	if (place < table->elements)
		return (iocp_frozen_value){
			iocp_frozen_elements(table)[place], (enum iocp_frozen_tag)iocp_frozen_element_tags(table)[place]};
	entry = &iocp_frozen_entries(table)[place - table->elements];
	return (iocp_frozen_value){entry->value, (enum iocp_frozen_tag)entry->value_tag};
}

#pragma GCC visibility pop

#endif
