/*
** stream.pml - posting to a long queue without the port's lock, for spin. What it models is src/native/stream.c with
** what port.c has of it; names are the same.
**
** Two posters post PACKETS each, one thread gets them all, one at a time, and parks where there is none, or while the
** port has no slot, which becomes free some time; with -DCLOSE=1 another closes the port. A stream begins with ENOUGH
** packets in the queue. Under the posters' lock the look at `streams` and the writing are two steps.
**
** Checked: every packet comes once, and in its poster's order; whoever posts beside the port's lock finds at least one
** packet queued, nobody parked and the port open; everyone ends (else spin reports an invalid end state): so nobody
** stays parked although a packet is there.
**
** -DBROKEN=n breaks a rule, which must be found: 1 a stream ends without the posters' lock, 2 who appends to the queue
** does not end the stream, 3 who parks does not, 4 a get takes the last packet of a stream, 5 a close does not end it,
** 6 a stream begins although somebody is parked.
*/

#ifndef BROKEN
#define BROKEN 0
#endif
#ifndef CLOSE
#define CLOSE 0
#endif
#ifndef ENOUGH
#define ENOUGH 1
#endif
#ifndef PACKETS
#define PACKETS 3
#endif

#define POSTERS 2
#define ALL (POSTERS * PACKETS)

bit lock, posters; /* 1: taken */
bool streams, closed, parked, served, abandoned;
bool slot;   /* free, or the getter's */
byte queued; /* in the queue: what its count says */
byte handed_poster, handed_number;
byte next_number[POSTERS]; /* of what is to come from each */
chan queue = [ALL] of { byte, byte };  /* guarded by the lock */
chan beside = [ALL] of { byte, byte }; /* published */

inline acquire(word)
{
	atomic { word == 0 -> word = 1 }
}

inline release(word)
{
	word = 0
}

/* The lock is held. */
inline join(p, n)
{
	atomic {
		do
		:: nempty(beside) -> beside?p, n; queue!p, n; queued++
		:: empty(beside) -> break
		od
	}
}

inline end_stream(p, n)
{
	if
	:: streams ->
		if
		:: BROKEN != 1 -> acquire(posters)
		:: BROKEN == 1
		fi;
		streams = false;
		if
		:: BROKEN != 1 -> release(posters)
		:: BROKEN == 1
		fi;
		join(p, n)
	:: !streams
	fi
}

inline begin_stream()
{
	if
	:: !streams && queued >= ENOUGH && (!parked || BROKEN == 6) -> acquire(posters); streams = true; release(posters)
	:: else
	fi
}

/* Under the port's lock. */
inline post_slowly(me, i, p, n)
{
	acquire(lock);
	if
	:: closed
	:: !closed ->
		if
		:: BROKEN != 2 -> end_stream(p, n)
		:: BROKEN == 2
		fi;
		if
		:: parked && slot -> handed_poster = me; handed_number = i; parked = false; served = true
		:: else -> atomic { queue!me, i; queued++ }
		fi;
		begin_stream()
	fi;
	release(lock)
}

proctype poster(byte me)
{
	byte i, p, n;
	bool posted;
	do
	:: i == PACKETS -> break
	:: i < PACKETS ->
		posted = false;
		if
		:: streams -> /* the hint */
			acquire(posters);
			if
			:: streams -> /* there may be no room */
			:: streams ->
				assert(BROKEN == 1 || (queued > 0 && !parked && !closed));
				beside!me, i;
				posted = true
			:: !streams
			fi;
			release(posters)
		:: !streams
		fi;
		if
		:: !posted -> post_slowly(me, i, p, n)
		:: posted
		fi;
		i++
	od
}

inline use(p, n)
{
	d_step {
		assert(next_number[p] == n);
		next_number[p] = n + 1;
		taken++;
		p = 0;
		n = 0
	}
}

proctype getter()
{
	byte taken, p, n;
	do
	:: taken == ALL || abandoned -> break
	:: taken < ALL && !abandoned ->
		acquire(lock);
		if
		:: slot && streams && queued <= 1 ->
			join(p, n);
			if
			:: queued <= 1 && BROKEN != 4 -> end_stream(p, n)
			:: else
			fi
		:: else
		fi;
		if
		:: queued > 0 && slot -> atomic { queue?p, n; queued-- }; release(lock); use(p, n)
		:: queued == 0 && closed -> release(lock); break
		:: !(queued > 0 && slot) && !closed ->
			if
			:: BROKEN != 3 -> end_stream(p, n)
			:: else
			fi;
			parked = true;
			release(lock);
			(served || abandoned);
			if
			:: served -> served = false; p = handed_poster; n = handed_number; use(p, n)
			:: else
			fi
		fi
	od
}

/* The slot becomes free: who is parked gets what is queued. */
active proctype slots()
{
	acquire(lock);
	slot = true;
	if
	:: parked && queued > 0 ->
		atomic { queue?handed_poster, handed_number; queued-- };
		parked = false;
		served = true
	:: else
	fi;
	release(lock)
}

proctype closer()
{
	byte p, n;
	acquire(lock);
	if
	:: BROKEN != 5 -> end_stream(p, n)
	:: BROKEN == 5
	fi;
	closed = true;
	do
	:: queued > 0 -> atomic { queue?p, n; queued-- }
	:: queued == 0 -> break
	od;
	if
	:: parked -> parked = false; abandoned = true
	:: !parked
	fi;
	release(lock)
}

init
{
	atomic {
		run poster(0);
		run poster(1);
		run getter();
		if
		:: CLOSE -> run closer()
		:: !CLOSE
		fi
	}
}
