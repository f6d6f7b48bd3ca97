/*
** pingpong.c - a ball between two threads: over two ports, and the two ways without any queue.
*/

#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static iocp_port *back;

static void *echo(void *unused)
{
	iocp_packet packet;
	while (iocp_port_dequeue(port, &packet, IOCP_INFINITE) == IOCP_OK)
		iocp_port_enqueue(back, packet.key, 0, 0);
	return unused;
}

static int play(size_t count)
{
	iocp_packet packet;
	pthread_t thread;
	size_t i;
	pthread_create(&thread, NULL, echo, NULL);
	start();
	for (i = 1; i <= count; i++) {
		iocp_port_enqueue(port, i, 0, 0);
		if (iocp_port_dequeue(back, &packet, IOCP_INFINITE) != IOCP_OK || packet.key != i)
			abort();
	}
	iocp_port_close(port);
	pthread_join(thread, NULL);
	return stop();
}

int run_ping_pong(size_t count)
{
	if (iocp_port_create(0, &back) != IOCP_OK)
		abort();
	iocp_port_set_spin(port, spins);
	iocp_port_set_spin(back, spins);
	return play(count);
}

static _Atomic uint32_t ball;

static void sleep_for_ball(uint32_t other)
{
	while (atomic_load(&ball) == other)
		syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
}

static void throw_ball(uint32_t to)
{
	atomic_store(&ball, to);
	syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_echo(void *count)
{
	size_t i;
	for (i = 0; i < *(size_t *)count; i++) {
		sleep_for_ball(0);
		throw_ball(0);
	}
	return NULL;
}

int run_ping_pong_on_futexes(size_t count)
{
	pthread_t thread;
	size_t i;
	pthread_create(&thread, NULL, futex_echo, &count);
	start();
	for (i = 0; i < count; i++) {
		throw_ball(1);
		sleep_for_ball(1);
	}
	pthread_join(thread, NULL);
	return stop();
}

static void spin_for_ball(uint32_t other)
{
	while (atomic_load_explicit(&ball, memory_order_acquire) == other)
		iocp_relax();
}

static void *word_echo(void *count)
{
	size_t i;
	for (i = 0; i < *(size_t *)count; i++) {
		spin_for_ball(0);
		atomic_store_explicit(&ball, 0, memory_order_release);
	}
	return NULL;
}

/* One cache line there and back: nothing is faster between two processors. */
int run_ping_pong_on_words(size_t count)
{
	pthread_t thread;
	size_t i;
	pthread_create(&thread, NULL, word_echo, &count);
	start();
	for (i = 0; i < count; i++) {
		atomic_store_explicit(&ball, 1, memory_order_release);
		spin_for_ball(1);
	}
	pthread_join(thread, NULL);
	return stop();
}
