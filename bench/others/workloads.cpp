/*
** workloads.cpp - the benchmark's workloads in C++: a deque under a mutex with a condition variable, and packaged_task.
**
** Usage: workloads WORKLOAD COUNT [WORKERS] prints the seconds it took. Key 0 ends a worker.
*/

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

template <typename T> class Queue {
public:
	void push(T item)
	{
		{
			std::lock_guard<std::mutex> guard(mutex);
			items.push_back(std::move(item));
		}
		filled.notify_one();
	}
	T pop()
	{
		std::unique_lock<std::mutex> guard(mutex);
		filled.wait(guard, [this] { return !items.empty(); });
		T item = std::move(items.front());
		items.pop_front();
		return item;
	}

private:
	std::mutex mutex;
	std::condition_variable filled;
	std::deque<T> items;
};

static void check(bool good)
{
	if (!good)
		std::abort();
}

static void keys(long count, unsigned workers)
{
	Queue<long> queue;
	std::atomic<long> handled{0};
	std::vector<std::thread> threads;
	for (unsigned w = 0; w < workers; w++)
		threads.emplace_back([&] {
			long n = 0;
			while (queue.pop())
				n++;
			handled += n;
		});
	for (long i = 1; i <= count; i++)
		queue.push(i);
	for (unsigned w = 0; w < workers; w++)
		queue.push(0);
	for (auto &thread : threads)
		thread.join();
	check(handled == count);
}

static void ping_pong(long count)
{
	Queue<long> there, back;
	std::thread echo([&] {
		while (long key = there.pop())
			back.push(key);
	});
	for (long i = 1; i <= count; i++) {
		there.push(i);
		check(back.pop() == i);
	}
	there.push(0);
	echo.join();
}

/* A task without a function ends a worker. */
static void results(long count)
{
	static constexpr long window = 1000;
	using task = std::packaged_task<long()>;
	Queue<task> tasks;
	std::vector<std::thread> threads;
	std::array<std::future<long>, window> pending;
	for (unsigned w = 0; w < std::thread::hardware_concurrency(); w++)
		threads.emplace_back([&] {
			for (task t = tasks.pop(); t.valid(); t = tasks.pop())
				t();
		});
	for (long i = 0; i < count; i += window) {
		for (long j = 0; j < window; j++) {
			task t([argument = i + j] { return argument; });
			pending[j] = t.get_future();
			tasks.push(std::move(t));
		}
		for (long j = 0; j < window; j++)
			check(pending[j].get() == i + j);
	}
	for (unsigned w = 0; w < threads.size(); w++)
		tasks.push(task());
	for (auto &thread : threads)
		thread.join();
}

int main(int argc, char **argv)
{
	const std::string workload = argc >= 3 ? argv[1] : "";
	const long count = argc >= 3 ? std::atol(argv[2]) : 0;
	const auto started = std::chrono::steady_clock::now();
	if (workload == "keys")
		keys(count, argc >= 4 ? static_cast<unsigned>(std::atoi(argv[3])) : 1);
	else if (workload == "ping-pong")
		ping_pong(count);
	else if (workload == "results")
		results(count);
	else
		return 2;
	std::printf("%.9f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
	return 0;
}
