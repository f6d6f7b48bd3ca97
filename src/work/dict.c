/*
** dict.c - dictionaries that threads share: iocp.h.
**
** Locking: the hash of a key says which stripe it is in, and that stripe's lock guards its entry. A value never changes
** and has references: who reads one takes a reference under the lock and looks at it outside; or copies it under the
** lock if it is small, since a reference taken and dropped moves the value's line between processors twice. So what is
** done to one key holds a lock for a look into a list; what is done to all of them (flush, keys, stats, and a stripe's
** lists when they double) holds a stripe's for all its entries. No thread that runs Lua holds one; what dies, dies
** outside.
**
** Order: all that is done to a key is done under one lock. That is the moment at which a call happens.
**
** The maximum. What an entry takes is reserved as it goes in, under its stripe's lock, by compare and exchange on
** `reserved`, which never passes the maximum; over a value that is there, what the new one takes more. It is given back
** after the entry is out. Where there is no room, the lock is left and the entry goes that was used the longest time
** ago, but never the one that is being written: each stripe has its entries in the order of their last use, and says
** when the oldest of them was used; the oldest of those is the victim. Between the look at what the stripes say and the
** lock of the one that is chosen another may have become the oldest: near enough. If there is no room and no other
** entry, those that were taken out are about to be given back, without waiting for anybody.
**
** Time. An entry whose time has passed is none to whoever meets it, and is taken out then. What nobody meets is found
** by those who put something into the stripe: each looks at two lists, so all are looked at once in every bucket_count
** / 2 of them, and by who counts.
*/

#include "work/dict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/sized.h"

enum {
	LEAST = 8,     /* buckets */
	SWEPT = 2,     /* buckets that are looked at for each entry that goes in */
	ALLOCATED = 16 /* what an allocation takes besides */
};

struct iocp_dict_entry {
	iocp_dict_entry *next;          /* in its bucket; or of those to be freed */
	iocp_dict_entry *newer, *older; /* by use */
	iocp_dict_value *value;
	double expires; /* on iocp_clock; HUGE_VAL: never */
	uint64_t used;  /* nanoseconds on the same; only with a maximum */
	uint64_t hash;
	size_t key_size;
	char key[];
};

/* ---- values ------------------------------------------------------------------------------------------------------ */

iocp_dict_value *iocp_dict_value_new(enum iocp_dict_kind kind, const void *bytes, size_t size)
{
	iocp_dict_value *value = size <= SIZE_MAX / 2 ? malloc(sizeof(*value) + size) : NULL;
	if (!value)
		return NULL;
	/* Relaxed: nobody else knows it yet; the lock of its stripe hands it on. */
	atomic_store_explicit(&value->references, 1, memory_order_relaxed);
	value->kind = kind;
	value->discard = NULL;
	value->dict = NULL;
	value->size = size;
	if (size)
		memcpy(value->bytes, bytes, size);
	return value;
}

static iocp_dict_value *retain(iocp_dict_value *value)
{
	/* Relaxed: the dictionary has a reference, under the lock that is held. */
	atomic_fetch_add_explicit(&value->references, 1, memory_order_relaxed);
	return value;
}

void iocp_dict_value_release(iocp_dict_value *value)
{
	/* As in core/object.c. */
	if (!value || atomic_fetch_sub_explicit(&value->references, 1, memory_order_acq_rel) != 1)
		return;
	if (value->discard)
		value->discard(value);
	free(value);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

iocp_dict_key iocp_dict_key_of(iocp_dict *dict, const void *key, size_t size)
{
	iocp_dict_key k = {key, size, iocp_hash(dict->seed, key, size), NULL};
	k.stripe = &dict->stripes[k.hash >> 59]; /* the buckets go by the lower bits */
	return k;
}

/* ---- a stripe's entries; its lock is held ------------------------------------------------------------------------ */

static uint64_t cost_of(size_t key_size, size_t value_size)
{
	return sizeof(iocp_dict_entry) + key_size + sizeof(iocp_dict_value) + value_size + 2 * sizeof(iocp_dict_entry *)
		   + 2 * (uint64_t)ALLOCATED;
}

static int has_maximum(const iocp_dict *dict)
{
	return dict->maximum != UINT64_MAX;
}

static uint64_t now_in_use(const iocp_dict *dict)
{
	return has_maximum(dict) ? (uint64_t)(iocp_clock() * 1e6) : 0;
}

static void tell_oldest(iocp_dict_stripe *s)
{
	/* Relaxed: a hint. */
	atomic_store_explicit(&s->oldest_use, s->oldest ? s->oldest->used : UINT64_MAX, memory_order_relaxed);
}

static void link_newest(iocp_dict_stripe *s, iocp_dict_entry *e, uint64_t used)
{
	e->used = used;
	e->newer = NULL;
	e->older = s->newest;
	if (e->older)
		e->older->newer = e;
	else
		s->oldest = e;
	s->newest = e;
	tell_oldest(s);
}

static void unlink_use(iocp_dict_stripe *s, iocp_dict_entry *e)
{
	if (e->newer)
		e->newer->older = e->older;
	else
		s->newest = e->older;
	if (e->older)
		e->older->newer = e->newer;
	else
		s->oldest = e->newer;
}

static void use(const iocp_dict *dict, iocp_dict_stripe *s, iocp_dict_entry *e)
{
	if (has_maximum(dict)) {
		unlink_use(s, e);
		link_newest(s, e, now_in_use(dict));
	}
}

static iocp_dict_entry **bucket_of(const iocp_dict_stripe *s, uint64_t hash)
{
	return &s->buckets[hash & (s->bucket_count - 1)];
}

/* Where the entry is linked that is linked at *link, on the list *out from now on. */
static void take_out(iocp_dict_stripe *s, iocp_dict_entry **link, iocp_dict_entry **out)
{
	iocp_dict_entry *e = *link;
	*link = e->next;
	unlink_use(s, e);
	tell_oldest(s);
	s->count--;
	s->expiring -= e->expires != HUGE_VAL;
	s->bytes -= cost_of(e->key_size, e->value->size);
	e->next = *out;
	*out = e;
}

static int is_of(const iocp_dict_entry *e, const iocp_dict_key *key)
{
	return e->hash == key->hash && e->key_size == key->size && memcmp(e->key, key->bytes, key->size) == 0;
}

/* Where the key's entry is linked; NULL: there is none. One whose time has passed is taken out. */
static iocp_dict_entry **find(iocp_dict_stripe *s, const iocp_dict_key *key, iocp_dict_entry **out)
{
	iocp_dict_entry **link, *e;
	if (!s->count)
		return NULL;
	for (link = bucket_of(s, key->hash); (e = *link); link = &e->next)
		if (is_of(e, key))
			break;
	if (e && e->expires != HUGE_VAL && e->expires <= iocp_clock()) {
		take_out(s, link, out);
		s->expired++;
		e = NULL;
	}
	return e ? link : NULL;
}

/* Takes those out of a bucket whose time has passed. */
static void sweep_bucket(iocp_dict_stripe *s, size_t bucket, double now, iocp_dict_entry **out)
{
	iocp_dict_entry **link = &s->buckets[bucket];
	while (*link) {
		if ((*link)->expires <= now) {
			take_out(s, link, out);
			s->expired++;
		} else {
			link = &(*link)->next;
		}
	}
}

static void sweep(iocp_dict_stripe *s, size_t buckets, iocp_dict_entry **out)
{
	double now;
	if (!s->expiring)
		return;
	now = iocp_clock();
	while (buckets-- > 0)
		sweep_bucket(s, s->swept++ & (s->bucket_count - 1), now, out);
}

static void insert(const iocp_dict *dict, iocp_dict_stripe *s, iocp_dict_entry *e)
{
	iocp_dict_entry **bucket = bucket_of(s, e->hash);
	e->next = *bucket;
	*bucket = e;
	s->count++;
	s->expiring += e->expires != HUGE_VAL;
	s->bytes += cost_of(e->key_size, e->value->size);
	link_newest(s, e, now_in_use(dict));
}

/* Moves all entries to these buckets; returns the old ones. */
static iocp_dict_entry **rehash(iocp_dict_stripe *s, iocp_dict_entry **buckets, size_t count)
{
	iocp_dict_entry **old = s->buckets;
	size_t old_count = s->bucket_count, i;
	s->buckets = buckets;
	s->bucket_count = count;
	for (i = 0; i < old_count; i++) {
		iocp_dict_entry *e = old[i];
		while (e) {
			iocp_dict_entry *next = e->next, **bucket = bucket_of(s, e->hash);
			e->next = *bucket;
			*bucket = e;
			e = next;
		}
	}
	return old;
}

/* ---- the maximum; no lock is held -------------------------------------------------------------------------------- */

static void give_back(iocp_dict *dict, uint64_t bytes)
{
	/* Release: the entry is out before its room is reserved anew. */
	if (has_maximum(dict) && bytes)
		atomic_fetch_sub_explicit(&dict->reserved, bytes, memory_order_release);
}

void iocp_dict_entries_free(iocp_dict *dict, iocp_dict_entry *entries)
{
	while (entries) {
		iocp_dict_entry *next = entries->next;
		give_back(dict, cost_of(entries->key_size, entries->value->size));
		iocp_dict_value_release(entries->value);
		free(entries);
		entries = next;
	}
}

/* The stripe that has the oldest entry, as they say; not `but`, or NULL. NULL: there is none. */
static iocp_dict_stripe *stripe_of_oldest(iocp_dict *dict, const iocp_dict_stripe *but)
{
	iocp_dict_stripe *chosen = NULL;
	uint64_t oldest = UINT64_MAX;
	int i;
	for (i = 0; i < IOCP_DICT_STRIPES; i++) {
		/* Relaxed: a hint. */
		uint64_t used = atomic_load_explicit(&dict->stripes[i].oldest_use, memory_order_relaxed);
		if (used < oldest && &dict->stripes[i] != but) {
			oldest = used;
			chosen = &dict->stripes[i];
		}
	}
	return chosen;
}

/* Takes out the oldest entry of the stripe that is not the key's. 0: there is none. */
static int evict_from(iocp_dict *dict, iocp_dict_stripe *s, const iocp_dict_key *key)
{
	iocp_dict_entry *out = NULL, *victim, **link;
	iocp_lock_acquire(&s->lock);
	victim = s->oldest;
	if (victim && is_of(victim, key))
		victim = victim->newer;
	if (victim) {
		for (link = bucket_of(s, victim->hash); *link != victim; link = &(*link)->next)
			;
		take_out(s, link, &out);
		if (victim->expires <= iocp_clock())
			s->expired++;
		else
			s->evicted++;
	}
	iocp_lock_release(&s->lock);
	iocp_dict_entries_free(dict, out);
	return victim != NULL;
}

/* Makes room for the key's new value: the oldest entry goes, but not the key's own. */
static void evict(iocp_dict *dict, const iocp_dict_key *key)
{
	iocp_dict_stripe *s = stripe_of_oldest(dict, NULL);
	if (s && evict_from(dict, s, key))
		return;
	s = stripe_of_oldest(dict, key->stripe); /* it has no other */
	if (!s || !evict_from(dict, s, key))
		iocp_yield(); /* others are about to give back what they took out */
}

/* Reserves room, if there is so much; a lock may be held. */
static int reserve(iocp_dict *dict, uint64_t bytes)
{
	uint64_t reserved;
	if (!has_maximum(dict) || bytes == 0)
		return 1;
	/* Relaxed: the exchange decides. Acquire: pairs with give_back. */
	reserved = atomic_load_explicit(&dict->reserved, memory_order_relaxed);
	while (reserved <= dict->maximum - bytes)
		if (atomic_compare_exchange_weak_explicit(
				&dict->reserved, &reserved, reserved + bytes, memory_order_acquire, memory_order_relaxed))
			return 1;
	return 0;
}

/* ---- putting ----------------------------------------------------------------------------------------------------- */

/* What may be needed under the lock is made outside. */
typedef struct provisions {
	iocp_dict_entry *entry;
	iocp_dict_entry **buckets;
	size_t bucket_count;
} provisions;

static int has_buckets(const iocp_dict_stripe *s, const provisions *p)
{
	return s->count < s->bucket_count || p->bucket_count > s->bucket_count;
}

/* IOCP_NOMEM. `wanted`: buckets; 0: none are missing. */
static int provide(provisions *p, const iocp_dict_key *key, size_t wanted)
{
	if (!p->entry) {
		p->entry = key->size <= SIZE_MAX / 2 ? malloc(sizeof(*p->entry) + key->size) : NULL;
		if (!p->entry)
			return IOCP_NOMEM;
		p->entry->hash = key->hash;
		p->entry->key_size = key->size;
		memcpy(p->entry->key, key->bytes, key->size);
	}
	if (wanted > p->bucket_count) {
		free(p->buckets);
		p->buckets = calloc(wanted, sizeof(*p->buckets));
		p->bucket_count = p->buckets ? wanted : 0;
	}
	return wanted && !p->buckets ? IOCP_NOMEM : IOCP_OK;
}

static int may_put(const iocp_dict_entry *e, int how, const iocp_dict_value *expected)
{
	switch (how) {
	case IOCP_DICT_ADD:
		return !e;
	case IOCP_DICT_REPLACE:
		return e != NULL;
	case IOCP_DICT_EXPECT:
		return e ? e->value == expected : !expected;
	default:
		return 1;
	}
}

/* What a value of `cost` takes more than the entry does, which may be NULL. */
static uint64_t missing(const iocp_dict_entry *e, uint64_t cost)
{
	uint64_t had = e ? cost_of(e->key_size, e->value->size) : 0;
	return cost > had ? cost - had : 0;
}

/* Takes the lock, and has what it takes to put a value of `cost` there: what is missing is reserved, and in `p` is the
** entry if there is none: *found. IOCP_INVALID: with the lock, too; IOCP_NOMEM: without. */
static int lock_to_put(iocp_dict *dict, const iocp_dict_key *key, uint64_t cost, int how,
	const iocp_dict_value *expected, provisions *p, iocp_dict_entry ***found, iocp_dict_entry **out)
{
	iocp_dict_stripe *s = key->stripe;
	for (;;) {
		iocp_dict_entry *e;
		size_t wanted = 0;
		int provided;
		iocp_lock_acquire(&s->lock);
		*found = find(s, key, out);
		e = *found ? **found : NULL;
		if (!may_put(e, how, expected))
			return IOCP_INVALID;
		if (!e && !has_buckets(s, p))
			wanted = s->bucket_count ? s->bucket_count * 2 : LEAST;
		provided = e || (p->entry && !wanted);
		if (provided && reserve(dict, missing(e, cost)))
			return IOCP_OK;
		if (e)
			use(dict, s, e); /* so it is nobody else's victim meanwhile */
		iocp_lock_release(&s->lock);
		iocp_dict_entries_free(dict, *out); /* which may be the room that is missing */
		*out = NULL;
		if (provided)
			evict(dict, key);
		else if (provide(p, key, wanted) != IOCP_OK)
			return IOCP_NOMEM;
	}
}

static void put_new(const iocp_dict *dict, iocp_dict_stripe *s, provisions *p, iocp_dict_value *value, double expires)
{
	if (s->count >= s->bucket_count) {
		p->buckets = rehash(s, p->buckets, p->bucket_count);
		p->bucket_count = 0;
	}
	p->entry->value = value;
	p->entry->expires = expires;
	insert(dict, s, p->entry);
	p->entry = NULL;
}

/* Returns the value that it had. */
static iocp_dict_value *put_over(
	const iocp_dict *dict, iocp_dict_stripe *s, iocp_dict_entry *e, iocp_dict_value *value, double expires)
{
	iocp_dict_value *old = e->value;
	s->bytes += value->size;
	s->bytes -= old->size;
	s->expiring += expires != HUGE_VAL;
	s->expiring -= e->expires != HUGE_VAL;
	e->value = value;
	e->expires = expires;
	use(dict, s, e);
	return old;
}

int iocp_dict_put(iocp_dict *dict, const void *key, size_t key_size, iocp_dict_value *value, double ms, int how,
	const iocp_dict_value *expected)
{
	iocp_dict_key k = iocp_dict_key_of(dict, key, key_size);
	uint64_t cost = cost_of(key_size, value->size), unused = 0;
	double expires = ms >= 0 ? iocp_clock() + ms : HUGE_VAL;
	provisions p = {NULL, NULL, 0};
	iocp_dict_entry **found, *out = NULL;
	iocp_dict_value *gone = value;
	int r = cost > dict->maximum ? IOCP_NOMEM : lock_to_put(dict, &k, cost, how, expected, &p, &found, &out);
	if (r == IOCP_OK && found) {
		gone = put_over(dict, k.stripe, *found, value, ms == IOCP_DICT_KEEPS ? (*found)->expires : expires);
		unused = gone->size > value->size ? gone->size - value->size : 0;
	} else if (r == IOCP_OK) {
		put_new(dict, k.stripe, &p, value, expires);
		gone = NULL;
	}
	if (r != IOCP_NOMEM) {
		sweep(k.stripe, SWEPT, &out);
		iocp_lock_release(&k.stripe->lock);
	}
	free(p.entry);
	free(p.buckets);
	give_back(dict, unused);
	iocp_dict_value_release(gone);
	iocp_dict_entries_free(dict, out);
	return r;
}

int iocp_dict_set(
	iocp_dict *dict, const void *key, size_t key_size, const void *value, size_t value_size, double ms, int how)
{
	iocp_dict_value *made = iocp_dict_value_new(IOCP_DICT_BYTES, value, value_size);
	return made ? iocp_dict_put(dict, key, key_size, made, ms < 0 ? IOCP_INFINITE : ms, how, NULL) : IOCP_NOMEM;
}

/* ---- getting ----------------------------------------------------------------------------------------------------- */

/* A copy in `room`, which may be NULL, or one more reference. */
static iocp_dict_value *copy_or_retain(iocp_dict_value *value, iocp_dict_room *room)
{
	iocp_dict_value *copy = room ? (iocp_dict_value *)(void *)room->bytes : NULL;
	if (!room || value->discard || value->size > IOCP_DICT_SMALL)
		return retain(value);
	copy->kind = value->kind;
	copy->discard = NULL;
	copy->dict = value->dict;
	copy->size = value->size;
	memcpy(copy->bytes, value->bytes, value->size);
	return copy;
}

static iocp_dict_value *look(iocp_dict *dict, const iocp_dict_key *key, iocp_dict_entry **expired, iocp_dict_room *room)
{
	iocp_dict_entry **found = find(key->stripe, key, expired);
	if (!found)
		return NULL;
	use(dict, key->stripe, *found);
	return copy_or_retain((*found)->value, room);
}

iocp_dict_value *iocp_dict_look(iocp_dict *dict, const iocp_dict_key *key, iocp_dict_entry **expired)
{
	return look(dict, key, expired, NULL);
}

iocp_dict_value *iocp_dict_read(iocp_dict *dict, const void *key, size_t key_size, iocp_dict_room *room)
{
	iocp_dict_key k = iocp_dict_key_of(dict, key, key_size);
	iocp_dict_entry *expired = NULL;
	iocp_dict_value *value;
	iocp_lock_acquire(&k.stripe->lock);
	value = look(dict, &k, &expired, room);
	iocp_lock_release(&k.stripe->lock);
	iocp_dict_entries_free(dict, expired);
	return value;
}

iocp_dict_value *iocp_dict_find(iocp_dict *dict, const void *key, size_t key_size)
{
	return iocp_dict_read(dict, key, key_size, NULL);
}

int iocp_dict_get(iocp_dict *dict, const void *key, size_t key_size, void *buffer, size_t capacity, size_t *value_size)
{
	iocp_dict_value *value = iocp_dict_find(dict, key, key_size);
	int r = !value ? IOCP_INVALID : value->kind == IOCP_DICT_BYTES ? IOCP_OK : IOCP_ERROR;
	if (r == IOCP_OK) {
		if (value->size && capacity)
			memcpy(buffer, value->bytes, value->size < capacity ? value->size : capacity);
		*value_size = value->size;
	}
	iocp_dict_value_release(value);
	return r;
}

/* ---- deleting ---------------------------------------------------------------------------------------------------- */

int iocp_dict_remove(iocp_dict *dict, const void *key, size_t key_size, const iocp_dict_value *expected)
{
	iocp_dict_key k = iocp_dict_key_of(dict, key, key_size);
	iocp_dict_entry **found, *out = NULL;
	int r = IOCP_INVALID;
	iocp_lock_acquire(&k.stripe->lock);
	found = find(k.stripe, &k, &out);
	if (found && (!expected || (*found)->value == expected)) {
		take_out(k.stripe, found, &out);
		r = IOCP_OK;
	}
	iocp_lock_release(&k.stripe->lock);
	iocp_dict_entries_free(dict, out);
	return r;
}

int iocp_dict_delete(iocp_dict *dict, const void *key, size_t key_size)
{
	return iocp_dict_remove(dict, key, key_size, NULL);
}

/* Takes everything out of a stripe. */
static iocp_dict_entry *clear(iocp_dict_stripe *s)
{
	iocp_dict_entry *out = NULL, **buckets;
	size_t i;
	iocp_lock_acquire(&s->lock);
	buckets = s->buckets;
	for (i = 0; i < s->bucket_count; i++)
		while (buckets[i])
			take_out(s, &buckets[i], &out);
	s->buckets = NULL;
	s->bucket_count = 0;
	iocp_lock_release(&s->lock);
	free(buckets);
	return out;
}

void iocp_dict_flush(iocp_dict *dict)
{
	int i;
	for (i = 0; i < IOCP_DICT_STRIPES; i++)
		iocp_dict_entries_free(dict, clear(&dict->stripes[i]));
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

void iocp_dict_stats(iocp_dict *dict, iocp_dict_info *info)
{
	iocp_dict_info full = {.size = sizeof(full), .maximum = has_maximum(dict) ? dict->maximum : 0};
	int i;
	for (i = 0; i < IOCP_DICT_STRIPES; i++) {
		iocp_dict_stripe *s = &dict->stripes[i];
		iocp_dict_entry *out = NULL;
		iocp_lock_acquire(&s->lock);
		sweep(s, s->bucket_count, &out);
		full.count += s->count;
		full.bytes += s->bytes;
		full.evicted += s->evicted;
		full.expired += s->expired;
		iocp_lock_release(&s->lock);
		iocp_dict_entries_free(dict, out);
	}
	if (has_maximum(dict)) /* what came and went between the locks does not count twice. Relaxed: a figure */
		full.bytes = atomic_load_explicit(&dict->reserved, memory_order_relaxed);
	full.size = info->size;
	iocp_copy_known(info, info->size, &full, sizeof(full));
}

/* Copies the stripe's keys if they fit; how many bytes they take. The lock is held. */
static size_t copy_keys(const iocp_dict_stripe *s, unsigned char *keys, size_t capacity)
{
	const iocp_dict_entry *e;
	size_t size = 0;
	for (e = s->newest; e; e = e->older) {
		uint32_t length = (uint32_t)e->key_size;
		if (size + sizeof(length) + e->key_size <= capacity) {
			memcpy(keys + size, &length, sizeof(length));
			memcpy(keys + size + sizeof(length), e->key, e->key_size);
		}
		size += sizeof(length) + e->key_size;
	}
	return size;
}

int iocp_dict_keys(iocp_dict *dict, int stripe, unsigned char **keys, size_t *size)
{
	iocp_dict_stripe *s = &dict->stripes[stripe];
	size_t capacity = 0;
	unsigned char *copy = NULL;
	for (;;) {
		iocp_dict_entry *out = NULL;
		iocp_lock_acquire(&s->lock);
		sweep(s, s->bucket_count, &out);
		*size = copy_keys(s, copy, capacity);
		iocp_lock_release(&s->lock);
		iocp_dict_entries_free(dict, out);
		if (*size <= capacity)
			break;
		free(copy);
		capacity = *size + *size / 8; /* others go on */
		copy = malloc(capacity);
		if (!copy)
			return IOCP_NOMEM;
	}
	*keys = copy;
	return IOCP_OK;
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

static void free_dict(iocp_object *object)
{
	iocp_dict *dict = (iocp_dict *)object; /* its first member */
	int i;
	for (i = 0; i < IOCP_DICT_STRIPES; i++)
		iocp_event_happen(&dict->stripes[i].claim_ended); /* who asked and has no reference is to look, too */
	iocp_dict_flush(dict);
	free(dict);
}

int iocp_dict_create(uint64_t maximum, iocp_dict **dict)
{
	iocp_dict *made = calloc(1, sizeof(*made));
	int i, r;
	if (!made)
		return IOCP_NOMEM;
	made->maximum = maximum ? maximum : UINT64_MAX;
	made->seed = iocp_hash_seed(made);
	for (i = 0; i < IOCP_DICT_STRIPES; i++)
		tell_oldest(&made->stripes[i]);
	r = iocp_object_register(&made->object, IOCP_KIND_DICT, made, free_dict);
	if (r == IOCP_OK)
		*dict = made;
	else
		free(made);
	return r;
}
