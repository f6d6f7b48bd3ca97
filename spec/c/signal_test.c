/*
** signal_test.c - signals as packets, beside handlers of others.
*/

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/api.h"
#include "native/quiet.h"

enum { SOON = 20000 /* ms: by then, or never */, A_MOMENT = 50 /* ms */ };

static volatile sig_atomic_t handled;

static void handler(int number)
{
	(void)number;
	handled++;
}

static void set_handler(int number, void (*to)(int))
{
	struct sigaction action = {.sa_handler = to};
	assert_int_equal(sigaction(number, &action, NULL), 0);
}

static int set_handler_is(int number, void (*expected)(int))
{
	struct sigaction action;
	assert_int_equal(sigaction(number, NULL, &action), 0);
	return action.sa_handler == expected;
}

static iocp_timer ask(int signal, iocp_port *port, uintptr_t key)
{
	iocp_timer timer;
	assert_int_equal(iocp_signal_notify(signal, port, key, 0, &timer), IOCP_OK);
	return timer;
}

/* A signal interrupts waits of threads that are not ours. */
static int get(iocp_port *port, iocp_packet *packet, double ms)
{
	int r;
	do
		r = iocp_port_dequeue(port, packet, ms);
	while (r == IOCP_INTERRUPTED);
	return r;
}

static iocp_port *new_port(void)
{
	iocp_port *port;
	assert_int_equal(iocp_port_create(0, &port), IOCP_OK);
	return port;
}

static void each_is_a_packet_to_all(void **state)
{
	enum { ASKED = 200 };
	iocp_port *port = new_port();
	iocp_timer timers[ASKED];
	iocp_packet packet;
	int i, round;
	(void)state;
	for (i = 0; i < ASKED; i++)
		timers[i] = ask(IOCP_SIGNAL_HUP, port, (uintptr_t)i);
	for (round = 0; round < 3; round++) {
		int seen[ASKED] = {0};
		assert_int_equal(raise(SIGHUP), 0);
		for (i = 0; i < ASKED; i++) {
			assert_int_equal(get(port, &packet, SOON), IOCP_OK);
			assert_int_equal(seen[packet.key]++, 0);
		}
		assert_int_equal(get(port, &packet, A_MOMENT), IOCP_TIMEOUT);
	}
	for (i = 0; i < ASKED; i++) {
		assert_int_equal(iocp_timer_cancel(timers[i]), IOCP_OK);
		assert_int_equal(iocp_timer_cancel(timers[i]), IOCP_INVALID);
	}
	assert_true(set_handler_is(SIGHUP, SIG_DFL));
	iocp_port_release(port);
}

static void who_was_there_before_is_put_back(void **state)
{
	iocp_port *port = new_port();
	iocp_timer first, second;
	iocp_packet packet;
	(void)state;
	handled = 0;
	set_handler(SIGTERM, handler);
	first = ask(IOCP_SIGNAL_TERM, port, 1);
	second = ask(IOCP_SIGNAL_TERM, port, 2);
	assert_int_equal(iocp_timer_cancel(first), IOCP_OK);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(get(port, &packet, SOON), IOCP_OK);
	assert_true(packet.key == 2 && handled == 0);
	assert_int_equal(iocp_timer_cancel(second), IOCP_OK);
	assert_true(set_handler_is(SIGTERM, handler));
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(handled, 1);
	set_handler(SIGTERM, SIG_DFL);
	iocp_port_release(port);
}

static void who_came_meanwhile_stays(void **state)
{
	iocp_port *port = new_port();
	iocp_timer timer;
	struct sigaction ours, theirs = {.sa_handler = handler};
	(void)state;
	handled = 0;
	set_handler(SIGTERM, SIG_IGN);
	timer = ask(IOCP_SIGNAL_TERM, port, 1);
	assert_int_equal(sigaction(SIGTERM, &theirs, &ours), 0);
	assert_int_equal(iocp_timer_cancel(timer), IOCP_OK);
	assert_true(set_handler_is(SIGTERM, handler));
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(handled, 1);
	assert_int_equal(sigaction(SIGTERM, &ours, NULL), 0); /* that nobody asks for any more */
	assert_int_equal(raise(SIGTERM), 0);
	assert_true(set_handler_is(SIGTERM, SIG_IGN));
	set_handler(SIGTERM, SIG_DFL);
	iocp_port_release(port);
}

static void none_is_lost_when_the_last_leaves(void **state)
{
	enum { ROUNDS = 500 };
	int round, came = 0, i;
	iocp_port *port = new_port();
	iocp_packet packet;
	(void)state;
	handled = 0;
	set_handler(SIGTERM, handler);
	for (round = 0; round < ROUNDS; round++) {
		iocp_timer timer = ask(IOCP_SIGNAL_TERM, port, 1);
		assert_int_equal(kill(getpid(), SIGTERM), 0);
		assert_int_equal(iocp_timer_cancel(timer), IOCP_OK);
		for (i = 0; i < SOON && came + handled <= round; i++) /* a second one beside it might count as the same */
			came += get(port, &packet, 1) == IOCP_OK;
	}
	assert_int_equal(came + handled, ROUNDS);
	set_handler(SIGTERM, SIG_DFL);
	iocp_port_release(port);
}

static void a_closed_port_wants_none(void **state)
{
	iocp_port *port = new_port(), *other = new_port();
	iocp_timer timer;
	iocp_packet packet;
	int i;
	(void)state;
	handled = 0;
	set_handler(SIGTERM, handler);
	(void)ask(IOCP_SIGNAL_TERM, port, 1);
	timer = ask(IOCP_SIGNAL_TERM, other, 2);
	iocp_port_close(port);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(get(other, &packet, SOON), IOCP_OK);
	assert_int_equal(handled, 0);
	iocp_port_close(other);
	assert_int_equal(raise(SIGTERM), 0);
	for (i = 0; i < SOON && !handled; i++)
		(void)iocp_sleep(1);
	assert_int_equal(handled, 1);
	assert_int_equal(iocp_timer_cancel(timer), IOCP_INVALID);
	set_handler(SIGTERM, SIG_DFL);
	iocp_port_release(port);
	iocp_port_release(other);
}

/* ThreadSanitizer runs no handlers in such a child. */
static void a_forked_child_has_what_was_before(void **state)
{
#ifdef __SANITIZE_THREAD__
	skip();
#endif
	iocp_port *port = new_port();
	iocp_timer timer = ask(IOCP_SIGNAL_TERM, port, 1);
	pid_t child = fork();
	int status;
	(void)state;
	if (child == 0) {
		(void)raise(SIGTERM);
		_exit(7);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_int_equal(iocp_timer_cancel(timer), IOCP_OK);
	iocp_port_release(port);
}

static void what_is_no_signal_is_refused(void **state)
{
	iocp_port *port = new_port();
	iocp_timer timer;
	(void)state;
	assert_int_equal(iocp_signal_notify(0, port, 1, 0, &timer), IOCP_INVALID);
	assert_int_equal(iocp_signal_notify(5, port, 1, 0, &timer), IOCP_INVALID);
	iocp_port_release(port);
}

static void of_a_broken_pipe_only_the_threads_own_is_taken(void **state)
{
	iocp_quiet quiet;
	int sent;
	(void)state;
	for (sent = 0; sent < 2; sent++) {
		handled = 0;
		set_handler(SIGPIPE, handler);
		iocp_quiet_begin(&quiet);
		assert_int_equal(pthread_kill(pthread_self(), SIGPIPE), 0);
		if (sent)
			assert_int_equal(kill(getpid(), SIGPIPE), 0); /* the process', as all other threads block it */
		errno = EPIPE;
		iocp_quiet_end(&quiet, -1, 1);
		assert_int_equal(errno, EPIPE);
		assert_true(handled <= sent);
		set_handler(SIGPIPE, SIG_DFL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_a_packet_to_all),
		cmocka_unit_test(who_was_there_before_is_put_back),
		cmocka_unit_test(who_came_meanwhile_stays),
		cmocka_unit_test(none_is_lost_when_the_last_leaves),
		cmocka_unit_test(a_closed_port_wants_none),
		cmocka_unit_test(a_forked_child_has_what_was_before),
		cmocka_unit_test(what_is_no_signal_is_refused),
		cmocka_unit_test(of_a_broken_pipe_only_the_threads_own_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
