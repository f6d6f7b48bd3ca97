/*
** dict.h - what dict.c and dict_claim.c share.
*/

#ifndef IOCP_DICT_H
#define IOCP_DICT_H

#include "core/os.h"
#include "work/work.h"

#pragma GCC visibility push(hidden)

typedef struct iocp_dict_entry iocp_dict_entry;

/* The entries of a part of all hashes, and its lock, which guards all of it. Nothing is allocated, freed or called out
** under one, and nobody holds two. */
typedef struct iocp_dict_stripe {
	iocp_lock lock;
	iocp_dict_entry **buckets; /* 2^n lists; NULL: none yet */
	size_t bucket_count, count;
	size_t expiring; /* entries whose time will pass */
	size_t swept;    /* the bucket where the search for those whose time has passed goes on */
	iocp_dict_entry *newest, *oldest;
	_Atomic uint64_t oldest_use; /* when that was, UINT64_MAX: there is none; a hint for who looks for a victim */
	uint64_t bytes, evicted, expired;
	iocp_dict_claim *claims;
	iocp_waiters waiters; /* for the end of a claim */
	iocp_event claim_ended;
} iocp_dict_stripe;

struct iocp_dict {
	iocp_object object;
	uint64_t maximum;          /* UINT64_MAX: none */
	uint64_t seed;             /* of hashes */
	_Atomic uint64_t reserved; /* with a maximum: what the entries take, and those that are out and not freed yet */
	iocp_dict_stripe stripes[IOCP_DICT_STRIPES];
};

/* A key with its hash. */
typedef struct iocp_dict_key {
	const void *bytes;
	size_t size;
	uint64_t hash;
	iocp_dict_stripe *stripe; /* the one that it is in */
} iocp_dict_key;

iocp_dict_key iocp_dict_key_of(iocp_dict *dict, const void *key, size_t size);
/* The value, with a reference, and it is used now. NULL: there is none, and *expired is an entry to be freed, or NULL.
** The lock is held. */
iocp_dict_value *iocp_dict_look(iocp_dict *dict, const iocp_dict_key *key, iocp_dict_entry **expired);
/* Frees entries that were taken out, if any. No lock is held. */
void iocp_dict_entries_free(iocp_dict *dict, iocp_dict_entry *entries);

#pragma GCC visibility pop

#endif
