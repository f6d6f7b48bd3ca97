/*
** notify.pml - other things that complete to a port, for spin: port:notify. Who is told of a port's packets (an event
** loop, a scheduler) asks, waits for one packet at a port of its own, and looks; who finds nothing asks again. What it
** models is iocp_port_notify and what it calls in src/work/timer.c, iocp_port_ask in src/native/port.c, and
** iocp_port_tells in packets.c.
**
** There are two locks, and none is taken within the other: that of all registrations, and the port's. So who asks
** registers first, and says so to the port (`asked`) after that, in another step, unless it finds packets there; then
** it tells itself. Who posts finds `asked` and resets it, in the section that queues its packet, and tells when that
** is over: all that are registered by then, be they those who had asked or others. Who is told is registered no more.
**
** A critical section is one atomic step here. Checked, for every interleaving: no packet is left in the queue while
** everybody waits to be told (else spin reports an invalid end state); one registration is told once, or taken back,
** and who took it back is told nothing; in the end everything was taken.
**
** Posters (-DPOSTERS=n) post one packet each, and askers (-DASKERS=n) look until there is nothing left to come. Each of
** the following adds something:
**   -DCANCEL=1  the first asker may take its registration back, or not look when it is told, and asks no more; there
**               are to be others
**   -DCLOSE=1   the port is closed, some time, which drops what is queued, and of which all are told
**
** -DBROKEN=n breaks one rule, which must be found: 1 who asks says so before it is registered, 2 who asks does not look
** whether there is something already, 3 `asked` is reset as they are told, after the section that queued, 4 of those
** who are registered only one is told, 5 who takes its registration back does not look whether it is still there, 6 a
** close tells nobody.
*/

#ifndef POSTERS
#define POSTERS 2
#endif
#ifndef ASKERS
#define ASKERS 2
#endif
#ifndef CANCEL
#define CANCEL 0
#endif
#ifndef CLOSE
#define CLOSE 0
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

/* The port, under its lock. */
byte queue, taken, dropped;
bool asked, closed;

/* Under the lock of registrations. */
bool registered[ASKERS];

/* What came to the askers' own ports. */
byte told[ASKERS];
bool took_back;

#define IS_OVER (closed || taken + dropped == POSTERS)

/* Those that are registered are taken in one section; they are told after it, and may have registered anew by then. */
inline tell()
{
	atomic {
		i = 0;
		do
		:: i < ASKERS && registered[i] && !(BROKEN == 4 && found != 0) ->
			registered[i] = false;
			found = found | (1 << i);
			i++
		:: i < ASKERS && (!registered[i] || (BROKEN == 4 && found != 0)) -> i++
		:: else -> break
		od;
		i = 0
	}
	do
	:: atomic { i < ASKERS && (found & (1 << i)) -> told[i]++; i++ }
	:: atomic { i < ASKERS && !(found & (1 << i)) -> i++ }
	:: atomic { i == ASKERS -> i = 0; found = 0; break }
	od
}

proctype Poster()
{
	byte i, found;
	bool tells;
	atomic {
		if
		:: closed -> dropped++
		:: else ->
			queue++;
			tells = asked;
			asked = asked && BROKEN == 3
		fi
	}
	if
	:: tells ->
		tell();
		if
		:: BROKEN == 3 -> asked = false
		:: else
		fi
	:: else
	fi
}

/* With `asked` at once, or by whoever queues next. */
inline say_so()
{
	atomic {
		tells = closed || (queue > 0 && BROKEN != 2);
		asked = asked || !tells
	}
}

inline enter()
{
	atomic { assert(!registered[me]); registered[me] = true }
}

inline ask()
{
	if
	:: BROKEN != 1 -> enter(); say_so()
	:: else -> say_so(); enter()
	fi;
	if
	:: tells -> tell()
	:: else
	fi
}

proctype Asker(byte me)
{
	byte i, found;
	bool tells;
	do
	:: IS_OVER -> break
	:: else ->
		ask();
		if
		:: atomic { told[me] > 0 -> told[me]--; assert(told[me] == 0) }
		:: atomic { CANCEL && me == 0 && (registered[0] || BROKEN == 5) -> registered[0] = false; took_back = true }
			break
		:: atomic { CANCEL && me == 0 && told[0] > 0 -> told[0] = 0 }
			break
		:: atomic { IS_OVER && !closed && registered[me] -> registered[me] = false } /* takes it back, and ends */
			break
		fi;
		atomic { taken = taken + queue; queue = 0 } /* looks, and takes what is there */
	od
}

proctype Closer()
{
	byte i, found;
	atomic {
		closed = true;
		dropped = dropped + queue;
		queue = 0
	}
	if
	:: BROKEN != 6 -> tell()
	:: else
	fi
}

init {
	byte p;
	atomic {
		do
		:: p == POSTERS -> break
		:: else -> run Poster(); p++
		od;
		p = 0;
		do
		:: p == ASKERS -> break
		:: else -> run Asker(p); p++
		od;
		if
		:: CLOSE -> run Closer()
		:: else
		fi
	}
	_nr_pr == 1;
	assert(queue == 0 && taken + dropped == POSTERS);
	assert(!took_back || told[0] == 0)
}
