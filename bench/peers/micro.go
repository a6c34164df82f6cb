// The micro benchmarks in Go, on one core. Each job prints "name value" lines as batches.py does.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	batch   = 1000
	crowd   = 50 // batches
	slots   = 100
	ring    = 10_000
	pending = 100_000 // timers
	half    = time.Second / 2
)

func forAWhile(name string, ops int, run func()) {
	run()
	count, start := 0, time.Now()
	for time.Since(start) < half {
		run()
		count += ops
	}
	fmt.Println(name, float64(time.Since(start).Nanoseconds())/float64(count))
}

func rss() float64 {
	file, err := os.Open("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	defer file.Close()
	var size, resident int
	fmt.Fscan(file, &size, &resident)
	return float64(resident * os.Getpagesize())
}

func spawn() {
	ended := 0 // only one goroutine runs at a time, so a plain counter will do
	forAWhile("spawn", batch, func() {
		ended = 0
		for i := 0; i < batch; i++ {
			go func() { ended++ }()
		}
		for ended < batch {
			runtime.Gosched()
		}
	})
}

func yield() {
	go func() {
		for {
			runtime.Gosched()
		}
	}()
	forAWhile("yield", 2*batch, func() {
		for i := 0; i < batch; i++ {
			runtime.Gosched()
		}
	})
}

// start has a batch of goroutines wait on the channel; it returns when all of them do.
func start(gate chan int, ended *int) {
	begun := 0
	for i := 0; i < batch; i++ {
		go func() {
			begun++
			<-gate
			*ended++
		}()
	}
	for begun < batch {
		runtime.Gosched()
	}
}

func wave() {
	gate, ended := make(chan int), 0
	var starting, waking time.Duration
	count := -batch // the first one warms up
	for starting+waking < half {
		ended = 0
		began := time.Now()
		start(gate, &ended)
		started := time.Now()
		for i := 0; i < batch; i++ {
			gate <- i
		}
		for ended < batch {
			runtime.Gosched()
		}
		if count += batch; count > 0 {
			starting += started.Sub(began)
			waking += time.Since(started)
		}
	}
	fmt.Println("fresh", float64(starting.Nanoseconds())/float64(count))
	fmt.Println("wave", float64((starting+waking).Nanoseconds())/float64(count))
}

func block() {
	gate, ended := make(chan int), 0
	debug.FreeOSMemory()
	before, began := rss(), time.Now()
	for i := 0; i < crowd; i++ {
		start(gate, &ended)
	}
	fmt.Println("staying", float64(time.Since(began).Nanoseconds())/(batch*crowd))
	fmt.Println("blocked", (rss()-before)/(batch*crowd))
	runtime.KeepAlive(gate)
}

func through(name string, capacity int) {
	items := make(chan int, capacity)
	go func() {
		for range items {
		}
	}()
	forAWhile(name, batch, func() {
		for i := 0; i < batch; i++ {
			items <- i
		}
	})
}

func selectTwo() {
	a, b := make(chan int), make(chan int)
	go func() {
		for {
			select {
			case <-a:
			case <-b:
			}
		}
	}()
	forAWhile("select", 2*batch, func() {
		for i := 0; i < batch; i++ {
			a <- i
			b <- i
		}
	})
}

func mutex() {
	var mutex sync.Mutex
	forAWhile("mutex", batch, func() {
		for i := 0; i < batch; i++ {
			mutex.Lock()
			mutex.Unlock()
		}
	})
}

func delay(i int) time.Duration { return time.Duration(3600+i*7919%pending) * time.Second }

func timer() {
	waiting := make([]*time.Timer, pending)
	for i := range waiting {
		waiting[i] = time.NewTimer(delay(i))
	}
	forAWhile("timer", batch, func() {
		for i := 0; i < batch; i++ {
			time.NewTimer(delay(i)).Stop()
		}
		runtime.Gosched() // the scheduler forgets the stopped ones
	})
	runtime.KeepAlive(waiting)
}

func passOn() {
	first := make(chan int)
	last := first
	for i := 1; i < ring; i++ {
		after := make(chan int)
		go func(before chan int) {
			for item := range before {
				after <- item
			}
		}(last)
		last = after
	}
	forAWhile("ring", ring, func() {
		first <- 0
		<-last
	})
}

func main() {
	runtime.GOMAXPROCS(1)
	map[string]func(){
		"spawn":      spawn,
		"yield":      yield,
		"wave":       wave,
		"block":      block,
		"channel":    func() { through("channel", slots) },
		"rendezvous": func() { through("rendezvous", 0) },
		"select":     selectTwo,
		"mutex":      mutex,
		"timer":      timer,
		"ring":       passOn,
	}[os.Args[1]]()
}
