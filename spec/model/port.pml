/*
** port.pml - the port's protocol, for spin: posting, parking, handing over, timing out, closing, cancelling, putting
** back, slots and who watches them, moving to another port, and one wake-up in flight at a time. What it models is
** port.c, slot.c, watch.c and wait.c in src/native; names are the same (but `working`, which there is `active`, a
** word of the language here).
**
** A critical section is one atomic step here. That is no less than what may happen: all that is touched in one is
** guarded by the port's lock, but for a waiter's `word`, and no section touches one waiter's word twice. What happens
** outside (the waiter's exchange of ARMED for ASLEEP, its look for a cancel, the kernel's check of the word as it
** falls asleep, waking) are steps of their own.
**
** Checked, for every interleaving: no packet is delivered twice or lost (what was posted is delivered, dropped by the
** close or still queued); whenever the lock is free, no thread is parked beside a packet and a free slot; nobody
** takes a packet without a free slot; everyone ends (else spin reports an invalid end state), and no slot is left.
**
** -DLIMIT=k: the port's limit. -DTAKE=n: how many packets a get takes at most. -DBATCH=1: one poster, which posts two
** packets at once, instead of two that post one each. -DGETS=n: each waiter's. -DCLOSE=0: nobody closes, and no get
** times out; needs -DGETS=1, or -DCANCEL=1. Each of the following adds something to what threads do:
**   -DSECTIONS=2 who gives up leaves the list in one section, and takes a slot in another
**   -DZERO=1     some gets do not wait
**   -DPUTBACK=1  of what was taken a packet may be put back
**   -DCANCEL=1   every thread is cancelled, some time
**   -DMOVE=1     a thread gets from another port between its gets, or after them
**   -DWATCH=1    who has a packet may block until others have theirs, in code of this library or in foreign code,
**                which only the watcher notices
**
** -DBROKEN=n breaks one rule, which must be found: 1 a thread falls asleep without the kernel's look at the word, 2 a
** woken thread does not wake the next, 3 a timeout does not look whether it was served, 4 a slot that becomes free is
** not given on, 5 a batch serves only one waiter, 6 who moves to another port keeps the slot here, 7 what is put back
** is given to nobody, 8 what lies behind the packet handed over is taken in two sections, 9 a get that does not wait
** does not look for a slot, 10 a cancel looks at the word before it is visible, 11 nobody has the port watched, 12
** the watcher does not look again whose the thread is, 13 the slot that the watcher took is not given on, 14 a
** timeout looks in one section and leaves the list in another, 15 the slot of who blocks is not given on.
*/

#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef CLOSE
#define CLOSE 1
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

#ifndef TAKE
#define TAKE 1
#endif
#ifndef BATCH
#define BATCH 0
#endif

#if BATCH
#define POSTERS 1
#else
#define POSTERS 2
#endif
#ifndef SECTIONS
#define SECTIONS 1
#endif
#ifndef ZERO
#define ZERO 0
#endif
#ifndef PUTBACK
#define PUTBACK 0
#endif
#ifndef CANCEL
#define CANCEL 0
#endif
#ifndef MOVE
#define MOVE 0
#endif
#ifndef WATCH
#define WATCH 0
#endif

#define WAITERS 2
#ifndef GETS
#define GETS 2  /* each */
#endif
#define PACKETS 2
#define NOBODY 255

/* What a thread has at the port that it belongs to. */
#define NONE 0
#define HELD 1
#define BLOCKED 2
#define RELEASED 3
/* Which that is: 0 for none. */
#define HERE 1
#define THERE 2

mtype = { ARMED, ASLEEP, SERVED, DELIVERED, TIMED_OUT, CANCELLED, CLOSED, ABANDONED, PARKED };

/* The port, under its lock. */
bool closed, watched;
byte queue_first, queue_last, queued[PACKETS]; /* queued[queue_first .. queue_last - 1] */
byte waiters[WAITERS], waiting;                /* a stack: the newest is waiters[waiting - 1] */
byte deferred[WAITERS], deferring;             /* oldest first */
byte in_flight = NOBODY;
byte working, posted, dropped;

/* The threads. */
mtype word[WAITERS], result[WAITERS];
byte packets_of[WAITERS]; /* a bit for each packet */
bool sleeping[WAITERS], is_deferred[WAITERS];
byte slot[WAITERS], belongs[WAITERS];
bool in_foreign_code[WAITERS], cancelled[WAITERS];
byte ended;
byte delivered[PACKETS], delivered_count;

#define QUEUED (queue_last - queue_first)
#define INVARIANT (!(QUEUED > 0 && waiting > 0 && working < LIMIT))

#define STUCK (QUEUED > 0 && waiting > 0)
#define LOOKS_BLOCKED(who) (in_foreign_code[who] || sleeping[who])

/* Who queues a packet or parks has the port watched, if that is needed. */
inline watch_if_stuck()
{
	if
	:: WATCH && STUCK && BROKEN != 11 -> watched = true
	:: else
	fi
}

/* For a thread that belongs here. */
inline set_slot(which, kind)
{
	if
	:: slot[which] == HELD -> working--
	:: else
	fi;
	if
	:: kind == HELD -> working++
	:: else
	fi;
	slot[which] = kind
}

/* Of each waiter a bit, as everywhere in `to_wake`. */
inline wake(bits)
{
	atomic {
		if
		:: bits & 1 -> sleeping[0] = false
		:: else
		fi
	}
	atomic {
		if
		:: bits & 2 -> sleeping[1] = false
		:: else
		fi
	}
}

/* Up to TAKE queued packets become those of `me`. */
inline take(me)
{
	packets_of[me] = 1 << queued[queue_first];
	queued[queue_first] = 0;
	queue_first++;
	if
	:: TAKE > 1 && QUEUED > 0 ->
		packets_of[me] = packets_of[me] | (1 << queued[queue_first]);
		queued[queue_first] = 0;
		queue_first++
	:: else
	fi
}

/* Takes `who` off the stack of waiters. */
inline remove_waiter(who)
{
	i = 0;
	do
	:: waiters[i] == who -> break
	:: else -> i++
	od;
	do
	:: i + 1 < waiting -> waiters[i] = waiters[i + 1]; i++
	:: else -> break
	od;
	i = 0;
	waiting--;
	waiters[waiting] = 0
}

/* The newest waiter, to which packets were given, gets a slot; `to_wake` is whom the caller wakes. */
inline hand_over(to_wake)
{
	assert(working < LIMIT);
	who = waiters[waiting - 1];
	waiting--;
	waiters[waiting] = 0; /* what is not used is zero, so that states which differ in nothing else are one */
	set_slot(who, HELD);
	result[who] = DELIVERED;
	if
	:: word[who] == ASLEEP ->
		if
		:: in_flight != NOBODY -> /* for less than the limit of time */
			is_deferred[who] = true;
			deferred[deferring] = who;
			deferring++
		:: in_flight = who;       /* nobody, or one for too long */
			to_wake = to_wake | (1 << who)
		fi
	:: else
	fi;
	word[who] = SERVED;
	who = 0
}

inline settle(to_wake)
{
	do
	:: QUEUED > 0 && waiting > 0 && working < LIMIT ->
		take(waiters[waiting - 1]);
		hand_over(to_wake);
		if
		:: BROKEN == 5 -> break
		:: else
		fi
	:: else -> break
	od;
	watch_if_stuck()
}

inline give_slot_back(me)
{
	set_slot(me, NONE)
}

inline append(packet)
{
	queued[queue_last] = packet;
	queue_last++
}

proctype Poster(byte me)
{
	byte who, to_wake;
	atomic {
		if
		:: closed
		:: !closed && BATCH ->
			posted = posted + 2;
			append(0);
			append(1);
			settle(to_wake)
		:: !closed && !BATCH ->
			posted++;
			if
			:: waiting > 0 && working < LIMIT ->
				assert(QUEUED == 0);
				packets_of[waiters[waiting - 1]] = 1 << me;
				hand_over(to_wake)
			:: else -> append(me); watch_if_stuck()
			fi
		fi;
		assert(INVARIANT)
	}
	wake(to_wake)
}

/* Until served, cancelled or, if it has a timeout, that, which may come at any time. */
inline park(me)
{
	do
	:: atomic {
			if
			:: word[me] == SERVED -> break
			:: word[me] == ARMED -> word[me] = ASLEEP
			:: word[me] == ASLEEP
			fi;
			slept = true
		}
#if CANCEL
		if
		:: cancelled[me] -> atomic { given_up = CANCELLED; break }
		:: else
		fi;
#endif
		atomic { /* the kernel looks, and lets it sleep */
			if
			:: word[me] == ASLEEP || BROKEN == 1 -> sleeping[me] = true
			:: else
			fi
		}
		if
		:: !sleeping[me]
		:: timed && sleeping[me] -> atomic { sleeping[me] = false; given_up = TIMED_OUT }
		fi;
		if
		:: atomic { word[me] == SERVED && BROKEN != 3 -> break }
		:: atomic { given_up != 0 -> break }
		:: else
		fi
	od
}

/* iocp_wait leaves the list, or finds that it was served; */
inline leave_list(me)
{
	if
	:: word[me] == SERVED && BROKEN != 3 -> outcome = result[me]
	:: else ->
		if
		:: word[me] != SERVED && BROKEN != 14 -> remove_waiter(me)
		:: else
		fi;
		outcome = given_up
	fi
}

/* who goes on empty-handed then has a slot, whether one is free or not. */
inline leave_empty_handed(me)
{
	if
	:: outcome == given_up ->
		if
		:: BROKEN == 14 && word[me] != SERVED -> remove_waiter(me)
		:: else
		fi;
		set_slot(me, HELD)
	:: else
	fi
}

inline give_up_waiting(me)
{
#if SECTIONS == 2
	atomic { leave_list(me); assert(INVARIANT) };
	atomic { leave_empty_handed(me); assert(INVARIANT) }
#else
	atomic { leave_list(me); leave_empty_handed(me); assert(INVARIANT) }
#endif
}

/* What was posted behind the packet handed over, under the same slot. */
inline take_more(me)
{
	if
	:: BROKEN == 8 && QUEUED > 0 -> packets_of[me] = packets_of[me] | (1 << queued[queue_first])
	:: else
	fi;
	atomic {
		if
		:: QUEUED > 0 ->
			packets_of[me] = packets_of[me] | (1 << queued[queue_first]);
			queued[queue_first] = 0;
			queue_first++
		:: else
		fi;
		assert(INVARIANT)
	}
}

/* One of the packets in hand goes to the head of the queue, or is dropped as that was. */
inline put_back(me, packet)
{
	atomic {
		packets_of[me] = packets_of[me] & ~(1 << packet);
		if
		:: closed -> dropped++
		:: !closed && queue_first > 0 -> queue_first--; queued[queue_first] = packet
		:: !closed && queue_first == 0 -> queued[1] = queued[0]; queued[0] = packet; queue_last++
		fi;
		if
		:: BROKEN != 7 -> settle(to_wake)
		:: else
		fi;
		assert(INVARIANT)
	}
	wake(to_wake);
	to_wake = 0
}

/* The thread leaves this port, for another's or for good. */
inline leave_port(me)
{
	atomic {
		to_wake = 0;
		if
		:: BROKEN == 6
		:: else ->
			give_slot_back(me);
			if
			:: BROKEN != 4 -> settle(to_wake)
			:: else
			fi
		fi;
		belongs[me] = 0;
		assert(INVARIANT)
	}
	wake(to_wake);
	to_wake = 0
}

#define OTHERS_ARE_DONE (delivered_count + dropped == PACKETS || closed)

/* The other port's counters are not modelled, but the slot is the one that a thread has. */
inline visit_other_port(me)
{
	leave_port(me);
	atomic { belongs[me] = THERE; slot[me] = HELD };
	(OTHERS_ARE_DONE || !WATCH);
	atomic { slot[me] = NONE; belongs[me] = 0 }
}

/* In this library: the slot is given up at once, and taken back, free or not. */
inline block_knowingly(me)
{
	atomic {
		if
		:: slot[me] == HELD || slot[me] == RELEASED -> set_slot(me, BLOCKED)
		:: else
		fi;
		if
		:: BROKEN != 15 -> settle(to_wake)
		:: else
		fi;
		assert(INVARIANT)
	}
	wake(to_wake);
	to_wake = 0;
	(OTHERS_ARE_DONE);
	atomic {
		if
		:: slot[me] == BLOCKED -> set_slot(me, HELD)
		:: else
		fi;
		settle(to_wake);
		assert(INVARIANT)
	}
	wake(to_wake);
	to_wake = 0
}

inline block_in_foreign_code(me)
{
	in_foreign_code[me] = true;
	(OTHERS_ARE_DONE);
	in_foreign_code[me] = false
}

inline pass_on_wake(me)
{
	atomic {
		to_wake = 0;
		if
		:: is_deferred[me] ->
			is_deferred[me] = false;
			i = 0;
			do
			:: deferred[i] == me -> break
			:: else -> i++
			od;
			do
			:: i + 1 < deferring -> deferred[i] = deferred[i + 1]; i++
			:: else -> break
			od;
			i = 0;
			deferring--;
			deferred[deferring] = 0
		:: !is_deferred[me] && in_flight == me ->
			in_flight = NOBODY;
			if
			:: deferring > 0 && BROKEN != 2 ->
				in_flight = deferred[0];
				to_wake = 1 << in_flight;
				is_deferred[in_flight] = false;
				i = 0;
				do
				:: i + 1 < deferring -> deferred[i] = deferred[i + 1]; i++
				:: else -> break
				od;
				i = 0;
				deferring--;
				deferred[deferring] = 0
			:: else
			fi
		:: else
		fi
	}
	wake(to_wake);
	to_wake = 0
}

inline deliver(me, packet)
{
	if
	:: packets_of[me] & (1 << packet) ->
		delivered[packet]++;
		delivered_count++;
		assert(delivered[packet] == 1)
	:: else
	fi
}

/* What follows from how the get began: nothing to take, or no slot for it. */
inline begin_to_wait(me)
{
	if
	:: closed -> outcome = CLOSED
	:: !closed && ZERO -> set_slot(me, HELD); outcome = TIMED_OUT
	:: !closed ->
		word[me] = ARMED;
		waiters[waiting] = me;
		waiting++;
		outcome = PARKED;
		watch_if_stuck();
		if
		:: CLOSE -> timed = true
		:: timed = false
		fi
	fi
}

proctype Waiter(byte me)
{
	byte n, i, who, to_wake;
	bool slept, timed;
	mtype outcome, given_up;
	do
	:: n == GETS -> break
#if CANCEL
	:: cancelled[me] -> break
#endif
	:: n < GETS ->
		n++;
		atomic {
			slept = false;
			given_up = 0;
			belongs[me] = HERE;
			give_slot_back(me);
			if
			:: QUEUED > 0 && (working < LIMIT || (ZERO && BROKEN == 9)) ->
				assert(working < LIMIT);
				take(me);
				set_slot(me, HELD);
				outcome = DELIVERED
			:: else -> begin_to_wait(me)
			fi;
			assert(INVARIANT)
		}
		if
		:: outcome == PARKED ->
			park(me);
			outcome = result[me];
			if
			:: given_up != 0 -> give_up_waiting(me)
			:: else
			fi;
			if
			:: slept && outcome == DELIVERED -> pass_on_wake(me)
			:: else
			fi;
#if TAKE > 1
			if
			:: outcome == DELIVERED && (packets_of[me] == 1 || packets_of[me] == 2) -> take_more(me)
			:: else
			fi
#endif
		:: else
		fi;
		if
		:: outcome == DELIVERED ->
#if PUTBACK
			if
			:: packets_of[me] & 1 -> put_back(me, 0)
			:: packets_of[me] & 2 -> put_back(me, 1)
			:: true
			fi;
#endif
			atomic {
				deliver(me, 0);
				deliver(me, 1);
				packets_of[me] = 0;
				outcome = 0;
				given_up = 0;
				timed = false
			}
#if WATCH
			;
			if
			:: block_knowingly(me)
			:: block_in_foreign_code(me)
			:: true
			fi
#endif
		:: else -> atomic { outcome = 0; given_up = 0; timed = false }
		fi
#if MOVE
		;
		if
		:: visit_other_port(me)
		:: true
		fi
#endif
	od;
	leave_port(me); /* the thread ends */
	ended++
}

/* What the watcher does, once the lock is there, about a thread that it saw blocked, or not. */
inline look_at(thread)
{
	atomic {
		if
		:: BROKEN == 12 && slot[thread] == HELD && blocked -> slot[thread] = RELEASED; working--
		:: BROKEN != 12 && belongs[thread] == HERE && slot[thread] == RELEASED && !blocked -> set_slot(thread, HELD)
		:: BROKEN != 12 && belongs[thread] == HERE && slot[thread] == HELD && blocked ->
			set_slot(thread, RELEASED);
			if
			:: BROKEN != 13 -> settle(to_wake)
			:: else
			fi
		:: else
		fi;
		blocked = false;
		assert(INVARIANT)
	};
	wake(to_wake);
	to_wake = 0
}

#define LOOK_AT(who) (watched && belongs[who] == HERE && slot[who] == (LOOKS_BLOCKED(who) -> HELD : RELEASED))

/* Looks at the threads of this port again and again, while it is stuck. A look that can change nothing is left out. */
proctype Watcher()
{
	byte who, to_wake;
	bool blocked;
	do
	:: atomic { watched && !STUCK -> watched = false }
	:: atomic { LOOK_AT(0) -> blocked = LOOKS_BLOCKED(0) }; look_at(0)
	:: atomic { LOOK_AT(1) -> blocked = LOOKS_BLOCKED(1) }; look_at(1)
	:: ended == WAITERS -> break
	od
}

/* Cancels the threads one after the other: what is set first is seen by who looks at it after the nudge. */
proctype Canceller()
{
	byte thread;
	bool nudges;
	do
	:: thread == WAITERS -> break
	:: else ->
		if
		:: BROKEN != 10 -> cancelled[thread] = true
		:: else
		fi;
		atomic {
			if
			:: word[thread] == ASLEEP -> word[thread] = ARMED; nudges = true
			:: else
			fi
		}
		if
		:: nudges -> sleeping[thread] = false
		:: else
		fi;
		cancelled[thread] = true;
		nudges = false;
		thread++
	od
}

proctype Closer()
{
	byte who, to_wake;
	atomic {
		closed = true;
		dropped = QUEUED;
		queue_first = queue_last
	}
	do
	:: atomic {
			waiting > 0 ->
			waiting--;
			who = waiters[waiting];
			waiters[waiting] = 0;
			result[who] = ABANDONED;
			to_wake = 0;
			if
			:: word[who] == ASLEEP -> to_wake = 1 << who
			:: else
			fi;
			word[who] = SERVED;
			who = 0
		}
		wake(to_wake)
	:: atomic { waiting == 0 -> break }
	od
}

init {
	atomic {
		byte p;
		do
		:: p == POSTERS -> break
		:: else -> run Poster(p); p++
		od;
		p = 0;
		do
		:: p == WAITERS -> break
		:: else -> run Waiter(p); p++
		od;
		if
		:: CLOSE -> run Closer()
		:: else
		fi;
		if
		:: WATCH -> run Watcher()
		:: else
		fi;
		if
		:: CANCEL -> run Canceller()
		:: else
		fi
	}
	_nr_pr == 1; /* all have ended, or spin says who has not */
	assert(posted == delivered_count + dropped + QUEUED);
	assert(in_flight == NOBODY && deferring == 0 && working == 0)
}
