/*
** leader.pml - who waits for I/O, for spin: the protocol of a port that has a set of descriptors. It is that of
** port.pml (posting, parking, handing over, slots and who watches them, one wake-up in flight at a time), and what
** comes with the set: of the threads that are parked one at most, the leader, waits in it (epoll_wait), the others on
** their words. The leader is woken by the set's alarm, an eventfd in it, edge-triggered and never read. What it models
** is leader.c and harvest.c in src/native, and what they add to port.c, slot.c, watch.c and wait.c; names are the same
** (but `working`, as in port.pml). doc/concurrency.md says it in words.
**
** A critical section is one atomic step here, as in port.pml. Steps of their own are a waiter's exchange of ARMED for
** ASLEEP or POLLING, its look for a cancel, the kernel's look at the word as it falls asleep, the set's return (which
** takes what is ready, and the alarm), each wake-up, and each half of a cancel.
**
** The role is `leader`: a thread that waits in the set, on its way in or on its way out; a thread that looks into the
** set as it gets; LOOKING, while the watcher does; or NOBODY. It is due if nobody has it though there is I/O to wait
** for, and room in the queue for what comes: then the port is watched.
**
** Checked, for every interleaving: no packet and no event is lost or comes twice; only who has the role is in the set,
** so never two; whenever the lock is free, no thread is parked beside a packet and a free slot, and a role that is due
** is watched; nobody takes a packet without a free slot; no more than AHEAD packets of I/O, and what comes at once, are
** queued; everyone ends (else spin reports an invalid end state), and no slot, wake-up or role is left behind, but for
** the role of a closed port. Without a close everyone ends only if each get is served.
**
** Events (-DEVENTS=n) happen one after the other, each makes one packet; posters (-DPOSTERS=n) post one packet each.
** Waiters (-DWAITERS=n, up to 3) get -DGETS=n times, the first of them -DGETS_OF_FIRST=n times, up to -DTAKE=n packets,
** 1 or 2. Without a close there are to be as many packets as gets take. -DLIMIT=k: the port's limit. -DAHEAD=n: how
** many packets of I/O are queued before nobody waits for more. -DONE_EVENT=1: the set gives one event at a time instead
** of all. -DLOOK_IN_VAIN=0: the watcher looks only where there is something. Each of the following adds something:
**   -DCLOSE=1    the port is closed, some time
**   -DTIMEOUT=1  gets may time out, any time
**   -DCANCEL=1   the first waiter is cancelled, some time
**   -DBLOCK=1    the first waiter blocks behind each get, in foreign code, until all packets are delivered
**   -DLOOK=1     who gets may look into the set before it takes
**   -DARM=1      who leaves the role due may arm the port instead of having it watched: the watcher is told, once, when
**                the set has something, or has it already; who leads disarms it
**
** -DBROKEN=n breaks one rule, which must be found: 1 who serves the leader takes the role from it at once, 2 a leader
** that was served drops what it harvested, 3 a port whose role is due is not watched, 4 a cancel changes the word of
** who is in the set, as it does that of a sleeper, 5 who was made the leader in its sleep, and served before it woke,
** keeps the role, 6 a leader whose wake-up was deferred is woken by its word, 7 a leader that times out keeps the role,
** 8 a thread is made the leader though it does not sleep, 9 a leader leads on however much is queued, 10 the watcher
** looks in one section whether it is needed, and goes in another, 11 who takes more than it was handed does not look
** whether the role is due then, 12 who leads disarms the port behind the section in which it was made the leader, 13
** the watcher that is told of an armed port does not have it watched.
*/

#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef POSTERS
#define POSTERS 1
#endif
#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef GETS
#define GETS 2
#endif
#ifndef GETS_OF_FIRST
#define GETS_OF_FIRST GETS
#endif
#ifndef TAKE
#define TAKE 1
#endif
#ifndef AHEAD
#define AHEAD 2
#endif
#ifndef ONE_EVENT
#define ONE_EVENT 0
#endif
#ifndef CLOSE
#define CLOSE 0
#endif
#ifndef TIMEOUT
#define TIMEOUT 0
#endif
#ifndef CANCEL
#define CANCEL 0
#endif
#ifndef BLOCK
#define BLOCK 0
#endif
#ifndef LOOK
#define LOOK 0
#endif
#ifndef ARM
#define ARM 0
#endif
#ifndef LOOK_IN_VAIN
#define LOOK_IN_VAIN 1
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

#define NOBODY 255
#define LOOKING 254

/* Sets of packets and of threads are bytes, a bit for each. Those that are posted are the lowest packets, and are taken
** first: the order in the queue decides nothing here. */
#define PACKETS (POSTERS + EVENTS)
#define BIT(which) (1 << (which))
#define ALL_PACKETS (BIT(PACKETS) - 1)
#define POSTED_PACKETS (BIT(POSTERS) - 1)
#define LOWEST(set) ((set) & ((set) ^ ((set) - 1)))
#define WITHOUT(set, bits) ((set) & (255 - (bits)))

mtype = { ARMED, ASLEEP, POLLING, SERVED, DELIVERED, TIMED_OUT, CANCELLED, CLOSED, ABANDONED, PARKED };

/* The port, under its lock. */
bool closed, has_io, watched, armed;
byte queue, io_queued;          /* the packets that wait, and how many of them are of I/O */
byte waiters[WAITERS], waiting; /* a stack: the newest is waiters[waiting - 1] */
byte leader = NOBODY;
byte in_flight = NOBODY, deferred;
byte working;

/* The kernel's: what the set would give, and whether its alarm was written since it last did. */
byte ready;
bool alarm_is_set;
bool tells, told; /* the set is to tell the watcher; it has */

/* The threads. */
mtype word[WAITERS], result[WAITERS];
byte packets_of[WAITERS];
byte sleeping, in_the_set; /* those that the kernel lets sleep; how many threads wait, or look */
bool has_slot[WAITERS], first_is_cancelled, first_is_blocked;
byte posted, delivered, dropped;
bool events_are_over;

#define NEWEST waiters[waiting - 1]
#define HAS_ROOM (working < LIMIT)
#define STUCK (queue != 0 && waiting > 0)
#define IS_DUE (has_io && !closed && leader == NOBODY && io_queued < AHEAD)
#define NEEDS_WATCH (STUCK || (IS_DUE && BROKEN != 3))
#define MOST_AT_ONCE (ONE_EVENT -> 1 : EVENTS)
#define IS_SEEN_TO (watched || !NEEDS_WATCH || (armed && !STUCK))
#define INVARIANT (!(STUCK && HAS_ROOM) && IS_SEEN_TO && io_queued < AHEAD + MOST_AT_ONCE)

/* Ends each section that may make a packet stuck, or the role due. */
inline watch_if_needed()
{
	if
	:: IS_SEEN_TO
	:: !IS_SEEN_TO -> watched = true
	:: !IS_SEEN_TO && ARM && !STUCK -> armed = true; tells = true
	fi;
	assert(INVARIANT)
}

inline disarm()
{
	armed = false;
	tells = tells && BROKEN == 12
}

/* What was left to do: nothing, if no rule is broken. */
inline disarm_late()
{
	if
	:: BROKEN == 12 && ARM -> tells = false
	:: else
	fi
}

/* What a section found out that its thread is to do, once the lock is released: `to_wake` by their futexes, and
** `to_alarm`, the leader. */
inline wake()
{
	do
	:: to_wake == 0 && !to_alarm -> break
	:: else ->
		atomic {
			if
			:: to_wake != 0 ->
				sleeping = WITHOUT(sleeping, LOWEST(to_wake));
				to_wake = WITHOUT(to_wake, LOWEST(to_wake))
			:: else -> alarm_is_set = true; to_alarm = false
			fi
		}
	od
}

/* Decided when it is served: it keeps the role until it is out of the set. */
inline is_to_be_woken(thread)
{
	if
	:: leader == thread -> to_alarm = true
	:: leader != thread -> to_wake = to_wake | BIT(thread)
	fi
}

inline take_one(me)
{
	if
	:: (LOWEST(queue) & POSTED_PACKETS) == 0 -> io_queued--
	:: else
	fi;
	packets_of[me] = packets_of[me] | LOWEST(queue);
	queue = WITHOUT(queue, LOWEST(queue))
}

/* Up to TAKE queued packets, and a slot, become those of `me`. */
inline take(me)
{
	assert(HAS_ROOM && queue != 0);
	take_one(me);
	if
	:: TAKE > 1 && queue != 0 -> take_one(me)
	:: else
	fi;
	has_slot[me] = true;
	working++
}

inline give_slot_back(me)
{
	working = working - has_slot[me];
	has_slot[me] = false
}

/* Whether one is free or not. */
inline take_slot_back(me)
{
	working = working + !has_slot[me];
	has_slot[me] = true
}

inline remove_waiter(me)
{
	i = 0;
	do
	:: waiters[i] == me -> break
	:: else -> i++
	od;
	waiting--;
	do
	:: i < waiting -> waiters[i] = waiters[i + 1]; i++
	:: else -> break
	od;
	i = 0;
	waiters[waiting] = 0 /* what is not used is zero, so that states which differ in nothing else are one */
}

/* The newest waiter is taken off the stack. */
inline serve(outcome_of_it)
{
	who = NEWEST;
	waiting--;
	waiters[waiting] = 0;
	result[who] = outcome_of_it;
	if
	:: word[who] == ARMED && leader == who -> leader = NOBODY /* it has not gone in, and will not */
	:: word[who] == ARMED && leader != who
	:: word[who] != ARMED && closed -> to_wake = to_wake | BIT(who) /* and the close writes the alarm for all */
	:: word[who] != ARMED && !closed && in_flight != NOBODY -> deferred = deferred | BIT(who) /* for a short time */
	:: word[who] != ARMED && !closed -> in_flight = who; is_to_be_woken(who) /* nobody is, or one for too long */
	fi;
	if
	:: BROKEN == 1 && leader == who -> leader = NOBODY
	:: else
	fi;
	word[who] = SERVED;
	who = 0
}

inline settle()
{
	do
	:: STUCK && HAS_ROOM -> take(NEWEST); serve(DELIVERED)
	:: else -> break
	od
}

#define CAN_PROMOTE (IS_DUE && waiting > 0 && (word[NEWEST] == ASLEEP || BROKEN == 8))

/* The newest waiter is to lead, if it sleeps. It is not in flight by that. Else it is tried again. */
inline promote()
{
	if
	:: CAN_PROMOTE ->
		leader = NEWEST;
		disarm();
		word[leader] = POLLING;
		to_wake = to_wake | BIT(leader)
	:: else
	fi
}

/* Whether who leaves the role promotes another is its own affair. */
inline leave_role(me)
{
	if
	:: leader == me ->
		leader = NOBODY;
		if
		:: promote()
		:: true
		fi
	:: else
	fi
}

/* The set gives all that is ready, and the alarm with it; or one of these, or nothing. */
inline harvest()
{
	if
	:: ONE_EVENT && ready != 0 -> harvested = LOWEST(ready)
	:: ONE_EVENT && ready == 0 -> alarm_is_set = false
	:: !ONE_EVENT -> harvested = ready; alarm_is_set = false
	fi;
	ready = WITHOUT(ready, harvested)
}

/* A closed port drops it. */
inline queue_harvest()
{
	do
	:: harvested == 0 -> break
	:: harvested != 0 && closed -> dropped = dropped | harvested; harvested = 0
	:: harvested != 0 && !closed ->
		queue = queue | LOWEST(harvested);
		io_queued++;
		harvested = WITHOUT(harvested, LOWEST(harvested))
	od
}

proctype Poster(byte me)
{
	byte i, who, to_wake;
	bool to_alarm;
	atomic {
		if
		:: closed
		:: !closed -> posted = posted | BIT(me); queue = queue | BIT(me); settle()
		fi;
		watch_if_needed()
	}
	wake()
}

/* The first socket is associated, then things happen on it. */
proctype Io()
{
	byte packet = POSTERS;
	atomic { has_io = true; watch_if_needed() }
	do
	:: atomic { packet < PACKETS -> ready = ready | BIT(packet); posted = posted | BIT(packet); packet++ }
	:: atomic { packet == PACKETS -> events_are_over = true; break }
	od
}

/* Goes in and out without waiting; `me` has the role, and has given it up afterwards. */
inline look(me)
{
	atomic { in_the_set++; assert(in_the_set == 1); harvest() }
	atomic {
		in_the_set--;
		queue_harvest();
		leave_role(me);
		settle();
		watch_if_needed()
	}
	wake()
}

/* A look that finds nothing is made only while Io can still go on, so that it hides nobody who cannot. */
#define MAY_LOOK (ready != 0 || alarm_is_set || (LOOK_IN_VAIN && !events_are_over))

/* Looks after the port again and again, in whatever order: at whether it is still to be watched, at who blocks, at a
** role that is due. It waits for nothing but its time, so it need not end. */
proctype Watcher()
{
	byte i, who, to_wake, harvested;
	bool to_alarm, goes, looked;
end:
	do
	:: atomic { watched && !NEEDS_WATCH && BROKEN != 10 -> watched = false }
	:: atomic { watched && !NEEDS_WATCH && BROKEN == 10 -> goes = true }
		atomic { goes = false; watched = false; assert(INVARIANT) }
	:: atomic { watched && first_is_blocked && has_slot[0] -> give_slot_back(0); settle(); watch_if_needed() }
		wake()
	:: atomic { watched && CAN_PROMOTE -> promote(); watch_if_needed() }
		wake()
	:: atomic { watched && IS_DUE && waiting == 0 && MAY_LOOK -> leader = LOOKING }
		look(LOOKING);
		looked = ARM
#if ARM
	:: atomic { looked && watched && IS_DUE && waiting == 0 ->
			looked = false;
			watched = false;
			armed = true;
			tells = true;
			assert(INVARIANT)
		}
	:: atomic { tells && (ready != 0 || alarm_is_set) -> tells = false; told = true }
	:: atomic { told -> told = false; armed = false; watched = watched || (NEEDS_WATCH && BROKEN != 13) }
#endif
	od
}

/* The caller slept, on its word or in the set, was served, and is awake. */
inline pass_on_wake(me)
{
	atomic {
		if
		:: BROKEN != 5 || leads -> leave_role(me) /* also who was promoted and never knew */
		:: else
		fi;
		if
		:: deferred & BIT(me) -> deferred = WITHOUT(deferred, BIT(me))
		:: !(deferred & BIT(me)) && in_flight == me ->
			in_flight = NOBODY;
			do
			:: i < WAITERS && in_flight == NOBODY && (deferred & BIT(i)) ->
				in_flight = i;
				deferred = WITHOUT(deferred, BIT(i));
				if
				:: BROKEN != 6 -> is_to_be_woken(i)
				:: else -> to_wake = to_wake | BIT(i)
				fi
			:: i < WAITERS && in_flight == NOBODY && !(deferred & BIT(i)) -> i++
			:: else -> break
			od;
			i = 0
		:: else
		fi;
		watch_if_needed()
	}
	wake()
}

/* It is out of the set. What it harvested is queued, also if it was served: it comes once. Of that it takes first. */
inline leave_set(me)
{
	atomic {
		in_the_set--;
		if
		:: BROKEN == 2 && word[me] == SERVED -> harvested = 0
		:: else
		fi;
		queue_harvest();
		if
		:: word[me] == SERVED /* it has packets: these are for others, and the role goes with pass_on_wake */
		:: word[me] != SERVED && queue != 0 && HAS_ROOM ->
			remove_waiter(me);
			take(me);
			word[me] = SERVED;
			result[me] = DELIVERED;
			leave_role(me);
			slept = false /* neither in flight nor deferred, and the role is left */
		:: word[me] != SERVED && !(queue != 0 && HAS_ROOM) && io_queued >= AHEAD && BROKEN != 9 ->
			word[me] = ARMED; /* one that follows, from here on */
			leads = false;
			leader = NOBODY
		:: else /* it leads on */
		fi;
		settle();
		watch_if_needed()
	}
	wake()
}

inline wait_in_set(me)
{
	atomic { in_the_set++; assert(in_the_set == 1) }
	if
	:: atomic { ready != 0 || alarm_is_set -> harvest() }
		leave_set(me)
	:: atomic { timed -> in_the_set--; given_up = TIMED_OUT }
	fi
}

inline wait_on_word(me)
{
	atomic { /* the kernel looks, and lets it sleep */
		if
		:: word[me] == ASLEEP -> sleeping = sleeping | BIT(me)
		:: else
		fi
	}
	if
	:: !(sleeping & BIT(me))
	:: atomic { timed && (sleeping & BIT(me)) -> sleeping = WITHOUT(sleeping, BIT(me)); given_up = TIMED_OUT }
	fi
}

/* Until served, cancelled or, if it has a timeout, that, which may come at any time. */
inline park(me)
{
	do
	:: atomic {
			if
			:: word[me] == SERVED -> break
			:: word[me] == ARMED && leads -> word[me] = POLLING
			:: word[me] == ARMED && !leads -> word[me] = ASLEEP
			:: word[me] == ASLEEP
			:: word[me] == POLLING -> leads = true /* since before, or promoted in its sleep */
			fi;
			slept = true
		}
#if CANCEL
		if
		:: me == 0 && first_is_cancelled -> atomic { given_up = CANCELLED; break }
		:: else
		fi;
#endif
		if
		:: leads -> wait_in_set(me)
		:: !leads -> wait_on_word(me)
		fi;
		if
		:: given_up != 0 -> break
		:: else
		fi
	od
}

/* iocp_wait leaves the list, or finds that it was served; who goes on empty-handed then has a slot, and no role. */
inline give_up_waiting(me)
{
	atomic {
		if
		:: word[me] == SERVED -> outcome = result[me]
		:: else -> remove_waiter(me); outcome = given_up
		fi;
		assert(INVARIANT)
	}
	if
	:: outcome == given_up ->
		atomic {
			take_slot_back(me);
			if
			:: BROKEN != 7 -> leave_role(me)
			:: else
			fi;
			watch_if_needed()
		}
		wake()
	:: else
	fi
}

/* What was queued behind the packet handed over, under the same slot. */
inline take_more(me)
{
	atomic {
		if
		:: queue != 0 -> take_one(me)
		:: else
		fi;
		if
		:: BROKEN != 11 -> watch_if_needed()
		:: else -> assert(INVARIANT)
		fi
	}
}

/* What follows from how the get began: nothing to take, or no slot for it. */
inline begin_to_wait(me)
{
	if
	:: closed -> outcome = CLOSED
	:: !closed ->
		word[me] = ARMED;
		waiters[waiting] = me;
		waiting++;
		outcome = PARKED;
		if
		:: IS_DUE -> leader = me; leads = true; disarm()
		:: else
		fi;
		if
		:: TIMEOUT -> timed = true
		:: timed = false
		fi
	fi
}

inline deliver(me)
{
	assert(!(delivered & packets_of[me]));
	delivered = delivered | packets_of[me];
	packets_of[me] = 0
}

proctype Waiter(byte me)
{
	byte n, i, who, to_wake, harvested;
	bool to_alarm, slept, timed, leads;
	mtype outcome, given_up;
	do
	:: n == (me == 0 -> GETS_OF_FIRST : GETS) -> break
#if CANCEL
	:: me == 0 && first_is_cancelled -> break
#endif
	:: n < (me == 0 -> GETS_OF_FIRST : GETS) ->
		n++;
#if LOOK
		if
		:: atomic { IS_DUE -> leader = me }
			look(me)
		:: true
		fi;
#endif
		atomic {
			give_slot_back(me);
			if
			:: queue != 0 && HAS_ROOM -> take(me); outcome = DELIVERED
			:: else -> begin_to_wait(me)
			fi;
			watch_if_needed()
		}
		if
		:: outcome == PARKED ->
			disarm_late();
			park(me);
			if
			:: given_up != 0 -> give_up_waiting(me)
			:: else -> outcome = result[me]
			fi;
			if
			:: slept && outcome == DELIVERED -> pass_on_wake(me)
			:: else
			fi;
#if TAKE > 1
			if
			:: outcome == DELIVERED && packets_of[me] == LOWEST(packets_of[me]) -> take_more(me)
			:: else
			fi
#endif
		:: else
		fi;
		atomic {
			deliver(me);
			first_is_blocked = first_is_blocked || (BLOCK && me == 0);
			outcome = 0;
			given_up = 0;
			result[me] = 0;
			slept = false;
			timed = false;
			leads = false
		}
		if
		:: BLOCK && me == 0 -> atomic { delivered == ALL_PACKETS -> first_is_blocked = false; take_slot_back(0) }
		:: else
		fi
	od;
	atomic { give_slot_back(me); settle(); watch_if_needed() } /* the thread ends */
	wake()
}

proctype Closer()
{
	byte who, to_wake;
	bool to_alarm;
	atomic { closed = true; dropped = dropped | queue; queue = 0; io_queued = 0 }
	do
	:: atomic { waiting > 0 -> serve(ABANDONED) }
		wake()
	:: atomic { waiting == 0 -> break }
	od;
	alarm_is_set = true
}

/* What is set first is seen by who looks at it after the nudge. The word of who is in the set stays, or whoever
** serves it next would think it outside. The port's alarm is found by its handle, which a close revokes: the close
** wakes everyone itself. */
proctype Canceller()
{
	byte to_wake;
	bool to_alarm;
	first_is_cancelled = true;
	atomic {
		if
		:: word[0] == ASLEEP -> word[0] = ARMED; to_wake = BIT(0)
		:: word[0] == POLLING ->
			to_alarm = true;
			word[0] = (BROKEN == 4 -> ARMED : POLLING)
		:: else
		fi
	}
	atomic { to_alarm = to_alarm && !closed }
	wake()
}

init {
	byte p;
	atomic {
		run Watcher(); /* first: to spin nobody ends who was made before one that does not */
		do
		:: p == POSTERS -> break
		:: else -> run Poster(p); p++
		od;
		p = 0;
		do
		:: p == WAITERS -> break
		:: else -> run Waiter(p); p++
		od;
		p = 0;
		run Io();
		if
		:: CLOSE -> run Closer()
		:: else
		fi;
		if
		:: CANCEL -> run Canceller()
		:: else
		fi
	}
	_nr_pr == 2; /* all have ended but the watcher, or spin says who has not */
	atomic {
		leader != LOOKING -> assert((delivered | dropped | queue | ready) == posted);
		assert(!(delivered & dropped) && !(delivered & queue) && !(delivered & ready));
		assert(in_flight == NOBODY && deferred == 0 && working == 0 && waiting == 0);
		assert(leader == NOBODY || closed)
	}
}
