/*
** port.pml - the port's protocol, for spin: posting, parking, handing over, timing out, closing, slots, and one wake-up in
** flight at a time. What it models is src/native/port.c, slot.c and the waiting of wait.c; names are the same (but `working`, which there is `active`, a word of the language here).
**
** A critical section is one atomic step here. That is no less than what may happen: all that is touched in one is guarded by
** the port's lock, but for a waiter's `word`, and no section touches one waiter's word twice. What happens outside (the
** waiter's exchange of ARMED for ASLEEP, the kernel's check of the word as it falls asleep, waking) are steps of their
** own.
**
** Checked, for every interleaving: no packet is delivered twice or lost (what was posted is delivered, dropped by the close
** or still queued); whenever the lock is free, no thread is parked beside a packet and a free slot; everyone ends (else spin
** reports an invalid end state).
**
** -DLIMIT=k: the port's limit. -DTAKE=n: how many packets a get takes at most. -DBATCH=1: one poster, which posts two packets at once,
** instead of two that post one each. -DGETS=n: each waiter's. -DCLOSE=0: nobody closes, and no get times out; needs -DGETS=1. -DBROKEN=n breaks one rule,
** which must be found: 1 a thread falls asleep without the kernel's look at the word, 2 a woken thread does not wake the next,
** 3 a timeout does not look whether it was served, 4 a slot that becomes free is not given on, 5 a batch serves only one waiter.
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
#define WAITERS 2
#ifndef GETS
#define GETS 2  /* each */
#endif
#define PACKETS 2
#define NOBODY 255

mtype = { ARMED, ASLEEP, SERVED, DELIVERED, TIMED_OUT, CLOSED, ABANDONED, PARKED };

/* The port, under its lock. */
bool closed;
byte queue_first, queue_last, queued[PACKETS]; /* queued[queue_first .. queue_last - 1] */
byte waiters[WAITERS], waiting;                /* a stack: the newest is waiters[waiting - 1] */
byte deferred[WAITERS], deferring;             /* oldest first */
byte in_flight = NOBODY;
byte working, posted, dropped;

/* The threads. */
mtype word[WAITERS], result[WAITERS];
byte packets_of[WAITERS]; /* a bit for each packet */
bool sleeping[WAITERS], is_deferred[WAITERS], has_slot[WAITERS];
byte delivered[PACKETS], delivered_count;

#define QUEUED (queue_last - queue_first)
#define INVARIANT (!(QUEUED > 0 && waiting > 0 && working < LIMIT))

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
	who = waiters[waiting - 1];
	waiting--;
	waiters[waiting] = 0; /* what is not used is zero, so that states which differ in nothing else are one */
	has_slot[who] = true;
	working++;
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
	od
}

inline give_slot_back(me)
{
	if
	:: has_slot[me] -> has_slot[me] = false; working--
	:: else
	fi
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
			:: else -> append(me)
			fi
		fi;
		assert(INVARIANT)
	}
	wake(to_wake)
}

/* Until served or, if it has a timeout, that, which may come at any time. */
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
		atomic { /* the kernel looks, and lets it sleep */
			if
			:: word[me] == ASLEEP || BROKEN == 1 -> sleeping[me] = true
			:: else
			fi
		}
		if
		:: !sleeping[me]
		:: timed && sleeping[me] -> atomic { sleeping[me] = false; timed_out = true }
		fi;
		if
		:: atomic { word[me] == SERVED && BROKEN != 3 -> break }
		:: atomic { timed_out -> break }
		:: else
		fi
	od
}

inline leave_after_timeout(me)
{
	atomic {
		if
		:: word[me] == SERVED && BROKEN != 3 -> outcome = result[me]
		:: word[me] == SERVED && BROKEN == 3 -> outcome = TIMED_OUT
		:: else ->
			remove_waiter(me);
			has_slot[me] = true; /* whether one is free or not */
			working++;
			outcome = TIMED_OUT
		fi;
		assert(INVARIANT)
	}
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

proctype Waiter(byte me)
{
	byte n, i, who, to_wake;
	bool slept, timed, timed_out;
	mtype outcome;
	do
	:: n == GETS -> break
	:: else ->
		n++;
		atomic {
			slept = false;
			timed_out = false;
			give_slot_back(me);
			if
			:: QUEUED > 0 && working < LIMIT ->
				take(me);
				has_slot[me] = true;
				working++;
				outcome = DELIVERED
			:: else ->
				if
				:: closed -> outcome = CLOSED
				:: else ->
					word[me] = ARMED;
					waiters[waiting] = me;
					waiting++;
					outcome = PARKED;
					if
					:: CLOSE -> timed = true
					:: timed = false
					fi
				fi
			fi;
			assert(INVARIANT)
		}
		if
		:: outcome == PARKED ->
			park(me);
			outcome = result[me];
			if
			:: timed_out -> leave_after_timeout(me)
			:: else
			fi;
			if
			:: slept && outcome == DELIVERED -> pass_on_wake(me)
			:: else
			fi
		:: else
		fi;
		if
		:: outcome == DELIVERED ->
			atomic {
				deliver(me, 0);
				deliver(me, 1);
				packets_of[me] = 0;
				outcome = 0;
				timed = false
			}
		:: else -> atomic { outcome = 0; timed = false }
		fi
	od;
	/* The thread ends. */
	atomic {
		to_wake = 0;
		give_slot_back(me);
		if
		:: BROKEN != 4 -> settle(to_wake)
		:: else
		fi;
		assert(INVARIANT)
	}
	wake(to_wake)
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
		fi
	}
	_nr_pr == 1; /* all have ended, or spin says who has not */
	assert(posted == delivered_count + dropped + QUEUED);
	assert(in_flight == NOBODY && deferring == 0 && working == 0)
}
