/*
** value_test.c - the decoder, given what no encoder wrote. heap:decode lets nothing damaged through to it; here the
** frame is right and only the values are random, so that every check of the decoder's own is reached.
*/

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lua/value/format.h"
#include "lualib.h"

enum { BLOCKS = 200000, CHANGED = 20 }; /* so many damaged ones, so many from each good one */

static lua_State *L;
static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % limit;
}

static int new_state(void **state)
{
	(void)state;
	L = luaL_newstate();
	luaL_openlibs(L);
	lua_pushcfunction(L, luaopen_iocp_core);
	lua_call(L, 0, 1);
	lua_setglobal(L, "iocp");
	return 0;
}

static int close_state(void **state)
{
	(void)state;
	lua_close(L);
	return 0;
}

static void run(const char *script)
{
	if (luaL_dostring(L, script) != LUA_OK)
		fail_msg("%s", lua_tostring(L, -1));
}

/* Encodes what the script returns into memory from malloc. */
static uint8_t *encode(const char *script, size_t *size)
{
	iocp_encoding encoding = {.first = 1, .what = "arg"};
	void *block = NULL;
	lua_settop(L, 0);
	run(script);
	encoding.count = lua_gettop(L);
	assert_int_equal(iocp_encode(L, &encoding, &block, size), IOCP_OK);
	return block;
}

static const char *const scripts[] = {
	"return {id = 1, name = 'job', args = {1, 2, 3}}",
	"local t = {1, 2, {3}} t.self = t t[t] = {t} return t, t, nil, -1, 0.5, 'x'",
	"local t = {} local u = t for i = 1, 40 do u[1] = {name = 'x', other = i} u = u[1] end return t",
	"return ('x'):rep(100), {('y'):rep(70), [1.5] = true, [false] = 2}, 2^40, -2^40 // 1 | 0",
	"return print, string, {string.format, _G}, {name = {name = {name = 1}}}",
	"local t = {} for i = 1, 9 do t[i] = {id = i, x = i / 4, [i] = i > 4, y = i % 3 > 0 and 'y' or nil} end return t",
	"return 1, 2, 3, 4, 5, 6, 7, 8, 9, nil, nil, true, false, '', {}",
};

static void decode(const uint8_t *block, size_t size)
{
	iocp_parcel parcel;
	int top = lua_gettop(L), count;
	uint8_t *copy = malloc(size); /* so that a sanitizer sees the end */
	memcpy(copy, block, size);
	if (iocp_parcel_open(&parcel, copy, size, 0)) {
		parcel.trusted = 0; /* bytecode is not for a decoder to check */
		count = iocp_decode(L, &parcel);
		assert_int_equal(lua_gettop(L), top + (count < 0 ? 1 : count));
		assert_true(count >= 0 || lua_type(L, -1) == LUA_TSTRING);
		lua_settop(L, top);
	}
	free(copy);
}

static void values_at_random(void **state)
{
	int i;
	seed = (uint64_t)iocp_clock();
	print_message("seed %llu\n", (unsigned long long)seed);
	for (i = 0; i < BLOCKS / CHANGED; i++) {
		size_t size;
		uint8_t *block = encode(scripts[i % (int)(sizeof(scripts) / sizeof(scripts[0]))], &size);
		int j;
		for (j = 0; j < CHANGED; j++) {
			uint8_t kept[4096];
			uint32_t changes = random_below(4) + 1,
					 cut = (uint32_t)size - (random_below(3) ? 0 : random_below((uint32_t)size));
			memcpy(kept, block, size);
			while (changes--)
				kept[2 + random_below((uint32_t)size - 2)] =
					(uint8_t)(random_below(2) ? random_below(256) : IOCP_TAG_NIL + random_below(20));
			kept[1] = (uint8_t)(random_below(4) ? kept[1] : IOCP_PARCEL_REMEMBERS);
			decode(kept, cut);
		}
		free(block);
	}
	(void)state;
}

static void every_cut_is_damage(void **state)
{
	size_t size, cut, i;
	for (i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		uint8_t *block = encode(scripts[i], &size);
		for (cut = 0; cut <= size; cut++)
			decode(block, cut);
		free(block);
	}
	(void)state;
}

static void size_codes_are_enough_and_not_too_much(void **state)
{
	uint64_t size;
	for (size = 0; size < 100000; size++) {
		uint64_t coded = iocp_size_of_code(iocp_size_code(size));
		assert_true(coded >= size && coded <= size + size / 8 + (size >= 16));
		assert_true(size >= 16 || coded == size);
	}
	(void)state;
}

static void a_seal_covers_every_byte(void **state)
{
	iocp_encoding encoding = {.first = 1, .what = "arg", .sealed = 1};
	iocp_parcel parcel;
	void *block = NULL;
	uint8_t *bytes;
	size_t size, i;
	int bit;
	lua_settop(L, 0);
	run("return {1, 2, function() return 3 end}, 'text'");
	encoding.count = lua_gettop(L);
	assert_int_equal(iocp_encode(L, &encoding, &block, &size), IOCP_OK);
	bytes = block;
	assert_true(iocp_parcel_open(&parcel, block, size, 1));
	for (i = 0; i < size; i++) {
		for (bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1 << bit);
			assert_false(iocp_parcel_open(&parcel, block, size, 1));
			bytes[i] ^= (uint8_t)(1 << bit);
		}
		assert_false(iocp_parcel_open(&parcel, block, i, 1));
	}
	free(block);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_at_random, new_state, close_state),
		cmocka_unit_test_setup_teardown(every_cut_is_damage, new_state, close_state),
		cmocka_unit_test(size_codes_are_enough_and_not_too_much),
		cmocka_unit_test_setup_teardown(a_seal_covers_every_byte, new_state, close_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
