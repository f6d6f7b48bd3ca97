// Workloads.java - the benchmark's workloads in Java: LinkedTransferQueue, and a fixed pool's executor.
//
// Usage: java Workloads WORKLOAD COUNT [WORKERS] prints the seconds it took, after a run as long in which the compiler
// warms up. Key 0 ends a worker.
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedTransferQueue;
import java.util.concurrent.atomic.AtomicInteger;

public class Workloads {
	static final int WINDOW = 1000;

	static void keys(int count, int workers) throws Exception {
		LinkedTransferQueue<Integer> queue = new LinkedTransferQueue<>();
		AtomicInteger handled = new AtomicInteger();
		Thread[] threads = new Thread[workers];
		for (int w = 0; w < workers; w++) {
			threads[w] = new Thread(() -> {
				try {
					int n = 0;
					while (queue.take() != 0)
						n++;
					handled.addAndGet(n);
				} catch (InterruptedException e) {
					throw new IllegalStateException(e);
				}
			});
			threads[w].start();
		}
		for (int i = 1; i <= count; i++)
			queue.put(i);
		for (int w = 0; w < workers; w++)
			queue.put(0);
		for (Thread thread : threads)
			thread.join();
		check(handled.get() == count);
	}

	static void pingPong(int count) throws Exception {
		LinkedTransferQueue<Integer> there = new LinkedTransferQueue<>(), back = new LinkedTransferQueue<>();
		Thread echo = new Thread(() -> {
			try {
				for (int key = there.take(); key != 0; key = there.take())
					back.put(key);
			} catch (InterruptedException e) {
				throw new IllegalStateException(e);
			}
		});
		echo.start();
		for (int i = 1; i <= count; i++) {
			there.put(i);
			check(back.take() == i);
		}
		there.put(0);
		echo.join();
	}

	static void results(int count) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
		Future<?>[] pending = new Future<?>[WINDOW];
		for (int i = 0; i < count; i += WINDOW) {
			for (int j = 0; j < WINDOW; j++) {
				int argument = i + j;
				pending[j] = pool.submit(() -> argument);
			}
			for (int j = 0; j < WINDOW; j++)
				check((Integer) pending[j].get() == i + j);
		}
		pool.shutdown();
	}

	static void check(boolean good) {
		if (!good)
			throw new IllegalStateException("lost or handled twice");
	}

	static void run(String workload, int count, int workers) throws Exception {
		switch (workload) {
		case "keys" -> keys(count, workers);
		case "ping-pong" -> pingPong(count);
		case "results" -> results(count);
		default -> throw new IllegalArgumentException(workload);
		}
	}

	public static void main(String[] args) throws Exception {
		int count = Integer.parseInt(args[1]), workers = args.length > 2 ? Integer.parseInt(args[2]) : 1;
		run(args[0], count, workers);
		long started = System.nanoTime();
		run(args[0], count, workers);
		System.out.printf(java.util.Locale.ROOT, "%.9f%n", (System.nanoTime() - started) / 1e9);
	}
}
