// workloads.go - the benchmark's workloads in Go: goroutines and buffered channels.
//
// Usage: go WORKLOAD COUNT [WORKERS] prints the seconds it took. Key 0 ends a worker.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const buffered, window = 4096, 1000

func keys(count, workers int) {
	channel := make(chan int, buffered)
	handled := make([]int, workers)
	var group sync.WaitGroup
	for w := 0; w < workers; w++ {
		group.Add(1)
		go func(w int) {
			n := 0
			for key := <-channel; key != 0; key = <-channel {
				n++
			}
			handled[w] = n
			group.Done()
		}(w)
	}
	for i := 1; i <= count; i++ {
		channel <- i
	}
	for w := 0; w < workers; w++ {
		channel <- 0
	}
	group.Wait()
	for _, n := range handled {
		count -= n
	}
	check(count == 0)
}

func pingPong(count, _ int) {
	there, back := make(chan int, buffered), make(chan int, buffered)
	go func() {
		for key := range there {
			back <- key
		}
	}()
	for i := 1; i <= count; i++ {
		there <- i
		check(<-back == i)
	}
	close(there)
}

type task struct {
	f      func(int) int
	arg    int
	result chan int
}

// Workers that take tasks from a channel, a channel a task for its result.
func results(count, _ int) {
	tasks := make(chan task, buffered)
	for w := 0; w < runtime.NumCPU(); w++ {
		go func() {
			for t := range tasks {
				t.result <- t.f(t.arg)
			}
		}()
	}
	var pending [window]chan int
	for i := 0; i < count; i += window {
		for j := range pending {
			pending[j] = make(chan int, 1)
			tasks <- task{func(x int) int { return x }, i + j, pending[j]}
		}
		for j := range pending {
			check(<-pending[j] == i+j)
		}
	}
	close(tasks)
}

func check(good bool) {
	if !good {
		panic("lost or handled twice")
	}
}

func main() {
	workloads := map[string]func(int, int){"keys": keys, "ping-pong": pingPong, "results": results}
	count, _ := strconv.Atoi(os.Args[2])
	workers := 1
	if len(os.Args) > 3 {
		workers, _ = strconv.Atoi(os.Args[3])
	}
	started := time.Now()
	workloads[os.Args[1]](count, workers)
	fmt.Printf("%.9f\n", time.Since(started).Seconds())
}
