/*
** hash.c - a hash of bytes. With a seed that is not known outside nobody can send keys that all fall into one list.
** Source: Knuth, 6.4; wyhash's idea.
*/

#include <string.h>

#include "work/work.h"

/* Multiplies and folds: each bit of both has a part in all of the result. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b | 1);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 29;
}

uint64_t iocp_hash_seed(const void *owner)
{
	return mix((uint64_t)(uintptr_t)owner, (uint64_t)(iocp_clock() * 1e6));
}

/* The last bytes, fewer than a word, by loads that overlap: a loop that gathers them in a word has to wait for its own
** stores. */
static uint64_t last_bytes(const unsigned char *at, size_t size)
{
	uint32_t first, last;
	if (size < sizeof(first))
		return size ? at[0] | (uint64_t)at[size / 2] << 8 | (uint64_t)at[size - 1] << 16 : 0;
	memcpy(&first, at, sizeof(first));
	memcpy(&last, at + size - sizeof(last), sizeof(last));
	return first | (uint64_t)last << 32;
}

uint64_t iocp_hash(uint64_t seed, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint64_t hash = seed ^ size, word;
	for (; size >= sizeof(word); size -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = mix(hash ^ word, seed);
	}
	return mix(hash ^ last_bytes(at, size), seed);
}
