/*
** gate.pml - who is inside a heap, for spin: the gate, the waiting for all to leave once, the switch to a fenced gate
** when the kernel's barrier is denied, and what the first thread of a heap may do as long as it is alone. What it
** models is src/linux/heap_cache.c with enter and leave of heap.h; names are the same (but `opened`, which there is
** `open`).
**
** A thread's writes of `busy` go through a buffer, as a processor's stores do (TSO): they become visible in order, at
** any later time, at the latest with a barrier. What reads do early beyond that, on other processors, is left to the
** orders in the source. A section under the heap's mutex is one atomic step. A barrier for the process reaches one
** thread after another.
**
** -DPART=1: two threads enter and leave, one locks, unlocks and destroys, one gives a page back, and at any time, or
** never, the barrier begins to fail. Checked: while one has the lock, and when the heap is unmapped, nobody is inside;
** nobody looks at a page that was given back; everyone ends (else spin reports an invalid end state). -DPART=2: the
** first thread frees a block in two steps while it believes to be alone; a second one comes, and two guests, which
** share the spare cache; all free the same block. Checked: one of them succeeds; one guest is inside at a time.
**
** -DBROKEN=n breaks a rule, which must be found: in part 1, 1 no barrier, 2 the look at the gate comes before `busy`, 3
** a barrier that fails is taken for one, 4 `fenced` is set before the slow barrier, 5 a page is given back without
** waiting, 6 unlock opens a fenced gate to all; in part 2, 7 the second thread does not wait for the first, 8 a guest
** that finds `shared` set does not wait.
*/

#ifndef BROKEN
#define BROKEN 0
#endif

#define THREADS 3 /* in part 2 the last is the spare cache */

mtype = { OPEN, FENCED, LOCKED, DESTROYED };

mtype gate = OPEN, opened = OPEN;
bool fenced, denied;
bit busy[THREADS];
chan stores[THREADS] = [2] of { bit }; /* of `busy`, not yet visible */

/* The processors: stores become visible some time. */
active proctype processors()
{
end:
	do
	:: stores[0]?busy[0]
	:: stores[1]?busy[1]
	:: stores[2]?busy[2]
	od
}

/* A full barrier in that thread. */
inline fence(thread)
{
	atomic {
		do
		:: nempty(stores[thread]) -> stores[thread]?busy[thread]
		:: empty(stores[thread]) -> break
		od
	}
}

inline fence_all()
{
	fence(0);
	fence(1);
	fence(2)
}

/* iocp_process_barrier, and what follows if it fails. */
inline barrier()
{
	if
	:: fenced || BROKEN == 1
	:: !(fenced || BROKEN == 1) ->
		if
		:: !denied -> fence_all()
		:: denied && BROKEN == 3
		:: denied && BROKEN != 3 ->
			atomic {
				opened = FENCED;
				if
				:: gate == OPEN -> gate = FENCED
				:: else
				fi
			}
			if
			:: BROKEN == 4 -> fenced = true
			:: else
			fi;
			fence_all();
			fenced = true
		fi
	fi
}

inline quiesce()
{
	barrier();
	busy[0] == 0;
	busy[1] == 0;
	busy[2] == 0
}

#if PART == 1

byte inside;
bool holder;    /* somebody has the lock, and nobody else should be inside */
bool unmapped;  /* the heap is destroyed */
bool unlinked;  /* a page is to be given back, */
bool given;     /* and was */

active proctype filter()
{
	if
	:: denied = true
	:: skip
	fi
}

active [2] proctype user()
{
	byte me = _pid - 2; /* after processors and filter */
	byte round;
	mtype seen;
	bool entered, ended, looked;
	do
	:: round == 2 - me || ended -> break /* twice, or once */
	:: else ->
		round++;
		entered = false;
		if
		:: BROKEN == 2 -> seen = gate; stores[me]!1; entered = (seen == OPEN)
		:: BROKEN != 2 -> stores[me]!1; seen = gate; entered = (seen == OPEN) /* iocp_heap_enter_quickly */
		:: skip
		fi;
		if
		:: !entered && seen -> stores[me]!0
		:: else
		fi;
		seen = 0;
		do
		:: entered || ended -> break
		:: else ->
			atomic { fence(me); busy[me] = 1 } /* an exchange */
			seen = gate;
			if
			:: seen == OPEN || seen == FENCED -> entered = true
			:: seen == LOCKED -> stores[me]!0; gate != LOCKED
			:: seen == DESTROYED -> stores[me]!0; ended = true
			fi
		od;
		seen = 0;
		if
		:: entered ->
			inside++;
			assert(!holder && !unmapped);
			looked = !unlinked;
			assert(!looked || !given);
			assert(!holder && !unmapped);
			inside--;
			stores[me]!0
		:: else
		fi
	od
}

active proctype locker()
{
	atomic { gate == OPEN || gate == FENCED -> gate = LOCKED }
	quiesce();
	atomic { holder = true; assert(inside == 0) }
	atomic { holder = false; gate = (BROKEN == 6 -> OPEN : opened) }
	gate = DESTROYED;
	quiesce();
	atomic { unmapped = true; assert(inside == 0) }
}

active proctype reclaimer()
{
	bool mine;
	atomic {
		if
		:: gate == OPEN || gate == FENCED -> unlinked = true; mine = true
		:: else
		fi
	}
	if
	:: mine ->
		if
		:: BROKEN == 5
		:: BROKEN != 5 -> quiesce()
		fi;
		atomic {
			if
			:: gate != DESTROYED -> given = true
			:: else
			fi
		}
	:: else
	fi
}

#else

bool shared, live = true;
byte freed, guests;

inline free_at_once()
{
	atomic {
		if
		:: live -> live = false; freed++; assert(freed == 1)
		:: else
		fi
	}
}

active proctype first()
{
	bool alone, found;
	stores[0]!1;
	alone = !shared;
	if
	:: alone ->
		found = live;
		if
		:: found -> atomic { live = false; freed++; assert(freed == 1) }
		:: else
		fi
	:: else -> free_at_once()
	fi;
	stores[0]!0
}

active proctype second()
{
	shared = true;
	if
	:: BROKEN == 7
	:: BROKEN != 7 -> quiesce()
	fi;
	busy[1] = 1;
	free_at_once();
	stores[1]!0
}

active [2] proctype guest()
{
	bool waits;
	waits = !(BROKEN == 8 && shared);
	shared = true;
	if
	:: waits -> quiesce()
	:: else
	fi;
	atomic { busy[2] == 0 -> busy[2] = 1 }
	guests++;
	assert(guests == 1);
	free_at_once();
	guests--;
	stores[2]!0
}

#endif
