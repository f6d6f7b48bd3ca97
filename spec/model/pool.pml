/*
** pool.pml - four protocols of the worker pool, for spin. What they model is src/work/task_run.c, task_flow.c, pool.c,
** worker.c and src/core/semaphore.c. A section under a lock is one atomic step here, as all that is touched in it is
** guarded by that lock; the atomics outside are steps of their own.
**
** -DPART=1: cancelling a task that runs. Checked: a cancel that finds it running ends its wait (else spin reports an
** invalid end state), and never reaches what the worker does next. -DPART=2: shutting down, while a task ends that
** another runs after. Checked: the pool closes, and not before that one has run. -DPART=3: workers that wait for
** delayed tasks, while the pool grows and shrinks. Checked: all tasks end, and then there are as many workers as are
** wanted. -DPART=4: places in a queue with a limit, some of whose takers have little patience. Checked: never more
** tasks than places, every taker gets one or gives up, nobody overtakes who waits, and at the end all places are there.
**
** -DBROKEN=n breaks a rule, which must be found: in part 1, 1 a worker that has claimed a task does not look whether it
** was cancelled meanwhile, 2 the end of a cancelled task takes nothing back; in part 2, 3 a task is counted before
** those who watch it are told; in part 3, 4 no worker is started in the place of one that waits, 5 growing again does
** not keep those who were to leave; in part 4, 6 who gives up does not look whether he was served meanwhile, 7 a place
** that is given back is added to the count though somebody waits.
*/

#ifndef BROKEN
#define BROKEN 0
#endif

#if PART == 1

mtype = { SCHEDULED, RUNNING, ENDED };
mtype state = SCHEDULED; /* the word, with the next */
bool cancelled;
bool runner;      /* task->runner is the worker */
bool waits_end;   /* iocp_thread_cancel_work */
bool next_begun;  /* the worker is about something else */
bool by_itself;   /* the task does not wait for ever */

active proctype worker()
{
	bool claimed, told;
	atomic {
		if
		:: state == SCHEDULED -> state = RUNNING; claimed = true
		:: else
		fi
	}
	if
	:: !claimed
	:: claimed ->
		runner = true;
		if
		:: BROKEN != 1 && cancelled -> atomic { waits_end = true } /* under the lock */
		:: else
		fi;
		if
		:: waits_end
		:: by_itself
		fi;
		runner = false;
		atomic { state = ENDED; told = cancelled }
		if
		:: told && BROKEN != 2 -> atomic { waits_end = false } /* the same; who set it holds the lock, or has left it */
		:: else
		fi
	fi;
	atomic { next_begun = true; assert(!waits_end) }
}

active proctype canceller()
{
	if
	:: by_itself = true
	:: skip
	fi;
	if
	:: atomic { state == SCHEDULED -> state = ENDED }
	:: atomic { /* under the lock, which an end that sees `cancelled` waits for */
			state == RUNNING ->
			cancelled = true;
			if
			:: runner -> waits_end = true; assert(!next_begun)
			:: else
			fi
		}
	:: state == ENDED
	fi
}

#elif PART == 2

bool draining, closed, later_ran;
byte submitted = 2, ended, waiting = 1; /* one runs, the other runs after it */
bool queued;

inline try_close()
{
	if
	:: draining ->
		e = ended;
		w = waiting;
		if
		:: submitted - e == w -> atomic { closed = true; assert(later_ran) }
		:: else
		fi
	:: else
	fi
}

inline tell()
{
	atomic { waiting--; queued = true }
}

active proctype worker()
{
	byte e, w;
	if
	:: BROKEN == 3 -> ended++; try_close(); tell()
	:: else -> tell(); ended++; try_close()
	fi
}

active proctype another()
{
	byte e, w;
	queued;
	later_ran = true;
	ended++;
	try_close()
}

active proctype shutdown()
{
	byte e, w;
	draining = true;
	try_close();
	closed
}

#elif PART == 4

#define TAKERS 3

byte count = 1, inside, through;
chan line = [TAKERS] of { byte }; /* who waits, the oldest first */
bool served[TAKERS];

inline give()
{
	atomic {
		inside--;
		if
		:: len(line) > 0 && BROKEN != 7 -> line?next; served[next] = true; inside++
		:: else -> count++
		fi
	}
}

active [TAKERS] proctype taker()
{
	byte next;
	bool mine;
	atomic {
		if
		:: count > 0 -> assert(len(line) == 0); count--; inside++; mine = true
		:: else -> line!_pid
		fi
	}
	if
	:: mine
	:: !mine ->
		if
		:: served[_pid] -> mine = true
		:: _pid > 0 -> skip; /* its time has passed; then it takes the lock */
			atomic {
				if
				:: served[_pid] && BROKEN != 6 -> mine = true
				:: !served[_pid] -> line??eval(_pid)
				:: else
				fi
			}
		fi
	fi;
	assert(inside <= 1);
	if
	:: mine -> give()
	:: else
	fi;
	atomic {
		through++;
		assert(through < TAKERS || (count == 1 && inside == 0))
	}
}

#else

#define TASKS 2
#define MOST 6 /* workers ever */

mtype = { WAITS, DELAYED, QUIT };
chan queue = [10] of { mtype, byte };
byte target = 1, live, leaving, parting, blocked, generation;
byte begun, ended, answers;
bool closed;

inline adjust()
{
	atomic {
		wanted = (blocked > 0 && blocked >= target && BROKEN != 4 -> blocked + 1 : target);
		have = live - leaving - parting;
		start = 0;
		quit = 0;
		kept = 0;
		if
		:: wanted > have && leaving > 0 && BROKEN != 5 ->
			kept = (wanted - have < leaving -> wanted - have : leaving);
			leaving = leaving - kept;
			generation++;
			quit = leaving
		:: wanted > have && leaving > 0 && BROKEN == 5 -> generation++
		:: have > wanted -> quit = have - wanted; leaving = leaving + quit
		:: else
		fi;
		start = (wanted > have -> wanted - have - kept : 0);
		live = live + start;
		stamp = generation
	}
	do
	:: start > 0 -> start--; run worker()
	:: else -> break
	od;
	do
	:: quit > 0 -> quit--; queue!QUIT, stamp
	:: else -> break
	od
}

proctype timer()
{
	queue!DELAYED, 0
}

proctype worker()
{
	byte wanted, have, start, quit, kept, stamp;
	bool leaves;
	begun++;
	assert(begun <= MOST);
	do
	:: queue?WAITS, _ ->
		run timer();
		atomic { blocked++ }
		adjust();
		atomic { answers > 0 -> answers-- }
		atomic { blocked-- }
		adjust();
		ended++
	:: queue?DELAYED, _ -> answers++
	:: queue?QUIT, stamp ->
		atomic {
			leaves = leaving > 0 && stamp == generation;
			if
			:: leaves -> leaving--; parting++
			:: else
			fi
		}
		if
		:: leaves -> atomic { live--; parting-- } break
		:: else
		fi
	:: closed -> break
	od
}

init
{
	byte wanted, have, start, quit, kept, stamp, i;
	adjust();
	for (i : 1 .. TASKS) {
		queue!WAITS, 0
	}
	target = 2;
	adjust();
	target = 1;
	adjust();
	ended == TASKS && blocked == 0 && leaving == 0 && parting == 0;
	assert(live >= 1);
	live == target;
	closed = true
}

#endif
