"""The benchmark's workloads in Python: queue.SimpleQueue, and concurrent.futures.

Usage: python3 workloads.py WORKLOAD COUNT [WORKERS] prints the seconds it took. Key 0 ends a worker.
"""
import os
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

WINDOW = 1000


def keys(count, workers):
    items, handled = queue.SimpleQueue(), []

    def worker():
        n = 0
        while items.get():
            n += 1
        handled.append(n)

    threads = [threading.Thread(target=worker) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for i in range(1, count + 1):
        items.put(i)
    for _ in threads:
        items.put(0)
    for thread in threads:
        thread.join()
    assert sum(handled) == count


def ping_pong(count, _):
    there, back = queue.SimpleQueue(), queue.SimpleQueue()

    def echo():
        while key := there.get():
            back.put(key)

    threading.Thread(target=echo).start()
    for i in range(1, count + 1):
        there.put(i)
        assert back.get() == i
    there.put(0)


def results(count, _):
    def work(x):
        return x

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, count, WINDOW):
            pending = [pool.submit(work, i + j) for j in range(WINDOW)]
            for j, future in enumerate(pending):
                assert future.result() == i + j


WORKLOADS = {"keys": keys, "ping-pong": ping_pong, "results": results}
started = time.perf_counter()
WORKLOADS[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
print("%.9f" % (time.perf_counter() - started))
