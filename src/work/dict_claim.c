/*
** dict_claim.c - who computes a value for all: of those that ask for a key which has no value, one has the claim, and
** the others wait until that has ended.
**
** Locking: a stripe's lock guards its claims and who waits for one to end, as it guards its values. So between the look
** for a value and the look for a claim nothing comes to be there, and no end of a claim is missed: who waits joined the
** list while the claim was there, and who ends it takes that out first and then serves the list. A port that asks is in
** the event's list before it is looked whether there is a claim.
**
** A claim belongs to no thread: it ends when whoever has it says so, or has it collected. What happens to the thread
** meanwhile is nothing to it.
*/

#include <stdlib.h>
#include <string.h>

#include "work/dict.h"

struct iocp_dict_claim {
	iocp_dict *dict; /* with a reference */
	iocp_dict_stripe *stripe;
	iocp_dict_claim *next;
	size_t key_size;
	char key[];
};

static int is_claimed(const iocp_dict_key *key)
{
	const iocp_dict_claim *c;
	for (c = key->stripe->claims; c; c = c->next)
		if (c->key_size == key->size && memcmp(c->key, key->bytes, key->size) == 0)
			return 1;
	return 0;
}

static iocp_dict_claim *new_claim(iocp_dict *dict, const iocp_dict_key *key)
{
	iocp_dict_claim *claim = key->size <= SIZE_MAX / 2 ? malloc(sizeof(*claim) + key->size) : NULL;
	if (!claim)
		return NULL;
	claim->dict = dict;
	claim->stripe = key->stripe;
	claim->key_size = key->size;
	memcpy(claim->key, key->bytes, key->size);
	return claim;
}

/* A look: IOCP_OK as iocp_dict_claim_take, where `fresh` is the caller's if it is *claim; IOCP_TIMEOUT: to look again;
** or why not. */
static int look(iocp_dict *dict, const iocp_dict_key *key, double ms, iocp_dict_value **value, iocp_dict_claim *fresh,
	iocp_dict_claim **claim)
{
	iocp_dict_stripe *s = key->stripe;
	iocp_dict_entry *expired = NULL;
	int r = iocp_waiters_ready();
	iocp_lock_acquire(&s->lock);
	*value = iocp_dict_look(dict, key, &expired);
	if (*value) {
		r = IOCP_OK; /* to a thread that is cancelled, too */
	} else if (r == IOCP_OK && !is_claimed(key)) {
		fresh->next = s->claims;
		s->claims = *claim = fresh;
	} else if (r == IOCP_OK && ms != 0 && !expired) {
		r = iocp_waiters_join(&s->waiters, &s->lock, ms); /* releases the lock */
		return r == IOCP_OK ? IOCP_TIMEOUT : r;
	} else if (r == IOCP_OK) {
		r = IOCP_TIMEOUT;
	}
	iocp_lock_release(&s->lock);
	iocp_dict_entries_free(dict, expired);
	return r;
}

int iocp_dict_claim_take(
	iocp_dict *dict, const void *key, size_t key_size, double ms, iocp_dict_value **value, iocp_dict_claim **claim)
{
	const iocp_dict_key k = iocp_dict_key_of(dict, key, key_size);
	iocp_dict_claim *fresh = new_claim(dict, &k);
	double deadline = ms > 0 ? iocp_clock() + ms : 0, left = ms;
	int r;
	*claim = NULL;
	if (!fresh)
		return IOCP_NOMEM;
	while ((r = look(dict, &k, left, value, fresh, claim)) == IOCP_TIMEOUT && left != 0) {
		if (ms > 0) {
			left = deadline - iocp_clock();
			left = left > 0 ? left : 0;
		}
	}
	if (*claim)
		(void)iocp_dict_retain(dict);
	else
		free(fresh);
	return r;
}

void iocp_dict_claim_end(iocp_dict_claim *claim)
{
	iocp_dict_stripe *s = claim->stripe;
	iocp_dict *dict = claim->dict;
	iocp_dict_claim **link;
	iocp_lock_acquire(&s->lock);
	for (link = &s->claims; *link != claim; link = &(*link)->next)
		;
	*link = claim->next;
	iocp_lock_release(&s->lock);
	iocp_waiters_serve_all(&s->waiters, &s->lock, IOCP_OK);
	iocp_event_tell(&s->claim_ended);
	free(claim);
	iocp_dict_release(dict);
}

int iocp_dict_claim_notify(
	iocp_dict *dict, const void *key, size_t key_size, iocp_port *port, const iocp_packet *packet, iocp_timer *timer)
{
	const iocp_dict_key k = iocp_dict_key_of(dict, key, key_size);
	int claimed, r = iocp_event_notify(&k.stripe->claim_ended, port, packet, timer);
	if (r != IOCP_OK)
		return r;
	iocp_lock_acquire(&k.stripe->lock);
	claimed = is_claimed(&k);
	iocp_lock_release(&k.stripe->lock);
	if (!claimed)
		iocp_event_tell(&k.stripe->claim_ended);
	return IOCP_OK;
}
