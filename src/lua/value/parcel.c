/*
** value/parcel.c - the bytes of a parcel, without Lua: memory to write it to, its list of objects, its seal.
**
** Owns the key of the seals, made with the first one and then fixed. Everything else belongs to the caller.
*/

#include <stdlib.h>
#include <string.h>

#include "core/atomic.h"
#include "lua/value/format.h"

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* A code from 16 on is four bits that say how often it is doubled, less one, and three bits behind a leading one. */
uint8_t iocp_size_code(uint64_t size)
{
	unsigned doublings = 0;
	while (size >= 16) {
		size = size / 2 + size % 2; /* upwards */
		doublings++;
	}
	return (uint8_t)(doublings > 30 ? 255 : doublings ? (doublings << 3) + size : size);
}

uint64_t iocp_size_of_code(uint8_t code)
{
	return code < 16 ? code : (uint64_t)(8 + code % 8) << (code / 8 - 1);
}

/* ---- what an encoder holds --------------------------------------------------------------------------------------- */

uint32_t iocp_holdings_add(iocp_holdings *h, void *object, enum iocp_class class)
{
	if (h->count == h->capacity) {
		uint32_t capacity = h->capacity ? h->capacity * 2 : 8;
		void *objects = realloc(h->objects, capacity * sizeof(*h->objects));
		if (!objects)
			return UINT32_MAX;
		h->objects = objects;
		h->capacity = capacity;
	}
	h->objects[h->count].object = object;
	h->objects[h->count].class = class;
	if (object != h->owner)
		iocp_object_keep(object);
	return h->count++;
}

void iocp_holdings_release(iocp_holdings *h)
{
	uint32_t i;
	for (i = 0; i < h->count; i++) {
		if (h->objects[i].object != h->owner)
			iocp_object_drop(h->objects[i].object);
	}
	free(h->objects);
	if (!h->heap)
		free(h->block);
	else
		iocp_heap_free(h->heap, h->block); /* a port's own heap, which no script can lock: it does not fail */
	memset(h, 0, sizeof(*h));
}

int iocp_holdings_resize(iocp_holdings *h, size_t size)
{
	void *block;
	if (h->heap)
		return iocp_heap_realloc(h->heap, h->block, size, 0, &h->block);
	block = realloc(h->block, size);
	if (!block)
		return IOCP_NOMEM;
	h->block = block;
	return IOCP_OK;
}

/* ---- the seal: SipHash-2-4, Aumasson and Bernstein --------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	mix(v);
	mix(v);
	v[0] ^= word;
}

static uint64_t siphash(uint64_t key0, uint64_t key1, const uint8_t *bytes, size_t size)
{
	uint64_t v[4] = {key0 ^ UINT64_C(0x736f6d6570736575), key1 ^ UINT64_C(0x646f72616e646f6d),
		key0 ^ UINT64_C(0x6c7967656e657261), key1 ^ UINT64_C(0x7465646279746573)};
	uint64_t word;
	size_t rest = size;
	int i;
	for (; rest >= 8; rest -= 8, bytes += 8) {
		memcpy(&word, bytes, 8);
		absorb(v, word);
	}
	word = 0;
	memcpy(&word, bytes, rest);
	absorb(v, word | (uint64_t)size << 56);
	v[2] ^= 0xff;
	for (i = 0; i < 4; i++)
		mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Damage by accident is what a seal is for; who wants to forge one has the FFI. So the clock and where the system put
** things are secret enough. */
uint64_t iocp_process_key(void)
{
	static _Atomic uint64_t key;
	/* Relaxed: the number is all there is to see. */
	uint64_t found = atomic_load_explicit(&key, memory_order_relaxed), fresh;
	if (found == 0) {
		double now = iocp_clock();
		memcpy(&fresh, &now, sizeof(fresh));
		fresh = siphash(fresh, (uint64_t)(uintptr_t)&now, (const uint8_t *)&fresh, sizeof(fresh)) | 1;
		if (atomic_compare_exchange_strong_explicit(&key, &found, fresh, memory_order_relaxed, memory_order_relaxed))
			found = fresh;
	}
	return found;
}

/* Of all but the seal itself. */
static uint64_t seal_of(const uint8_t *block, size_t size)
{
	enum { BEFORE = IOCP_PARCEL_HEADER + IOCP_PARCEL_SEAL };
	uint64_t key = iocp_process_key(), header = (uint64_t)block[0] | (uint64_t)block[1] << 8;
	return siphash(key, rotate(key, 32) ^ header, block + BEFORE, size - BEFORE);
}

void iocp_parcel_seal(uint8_t *block, size_t size)
{
	uint64_t seal = seal_of(block, size);
	memcpy(block + IOCP_PARCEL_HEADER, &seal, sizeof(seal));
}

/* ---- a parcel in memory ------------------------------------------------------------------------------------------ */

/* Finds the list at the end, and takes it off what there is to read. */
static int open_list(iocp_parcel *p)
{
	size_t size = (size_t)(p->values.end - p->values.at), zeros;
	uint32_t last;
	if (!(p->flags & IOCP_PARCEL_HAS_OBJECTS))
		return 1;
	if (size < IOCP_LIST_COUNT_SIZE)
		return 0;
	memcpy(&last, p->values.end - IOCP_LIST_COUNT_SIZE, IOCP_LIST_COUNT_SIZE);
	size -= IOCP_LIST_COUNT_SIZE;
	zeros = last % IOCP_LIST_ALIGNMENT;
	p->object_count = last >> 3;
	if (size < zeros || p->object_count > (size - zeros) / IOCP_LISTED_SIZE) {
		p->object_count = 0;
		return 0;
	}
	p->objects = p->values.at + size - (size_t)p->object_count * IOCP_LISTED_SIZE;
	p->values.end = p->objects - zeros;
	return 1;
}

int iocp_parcel_open(iocp_parcel *p, const void *block, size_t size, int sealed)
{
	const uint8_t *begin = block;
	size_t header = IOCP_PARCEL_HEADER + (sealed ? (size_t)IOCP_PARCEL_SEAL : 0);
	if (size <= header || begin[0] != IOCP_PARCEL_VERSION || ((begin[1] & IOCP_PARCEL_SEALED) != 0) != sealed)
		return 0;
	if (sealed) {
		uint64_t seal;
		memcpy(&seal, begin + IOCP_PARCEL_HEADER, sizeof(seal));
		if (seal != seal_of(begin, size))
			return 0;
	}
	*p = (iocp_parcel){
		.values = {begin + header, begin + size},
		.begin = begin,
		.flags = begin[1],
		.trusted = 1,
	};
	return open_list(p);
}

int iocp_parcel_listed(const iocp_parcel *p, uint64_t index, enum iocp_class *class, uint64_t *object)
{
	uint8_t listed;
	if (index >= p->object_count)
		return 0;
	listed = p->objects[(size_t)p->object_count * sizeof(*object) + index];
	*class = (enum iocp_class)listed;
	memcpy(object, p->objects + index * sizeof(*object), sizeof(*object));
	return listed < IOCP_CLASS_COUNT;
}

void iocp_parcel_release(const iocp_parcel *p)
{
	uint32_t i;
	for (i = 0; i < p->object_count; i++) {
		enum iocp_class class;
		uint64_t object;
		if (iocp_parcel_listed(p, i, &class, &object) && (const void *)(uintptr_t)object != p->owner)
			iocp_object_drop((void *)(uintptr_t)object);
	}
}
