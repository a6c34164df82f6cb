// The load generator of the benchmarks for TLS: load_tls PORT CONNECTIONS SIZE WARMUP SECONDS, as load.c has it.
//
// A goroutine for each connection, one message on its way on each; what comes back is compared with what was sent.
// One core. Prints one line of JSON.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

type result struct {
	Requests int     `json:"requests"`
	Rate     float64 `json:"requests_per_s"`
	MB       float64 `json:"mb_per_s"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	Errors   int     `json:"errors"`
	Total    int     `json:"total"`
	Busy     float64 `json:"load_busy"`
}

type client struct {
	conn      *tls.Conn
	latencies []time.Duration // of what was sent after the warm-up
	total     int
	failed    bool
}

func open(port string) *client {
	conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	return &client{conn: conn}
}

func (c *client) load(size int, measured, end time.Time) {
	message, back := make([]byte, size), make([]byte, size)
	for {
		began := time.Now()
		if began.After(end) {
			c.conn.Close()
			return
		}
		message[c.total%size]++
		if _, err := c.conn.Write(message); err != nil {
			break
		}
		if _, err := io.ReadFull(c.conn, back); err != nil || !bytes.Equal(back, message) {
			break
		}
		c.total++
		if began.After(measured) {
			c.latencies = append(c.latencies, time.Since(began))
		}
	}
	c.failed = true
}

func cpu() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func summary(clients []*client, size int, seconds, busy float64) result {
	found := result{Busy: busy}
	var all []time.Duration
	for _, c := range clients {
		all = append(all, c.latencies...)
		found.Total += c.total
		if c.failed {
			found.Errors++
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	found.Requests = len(all)
	found.Rate = float64(len(all)) / seconds
	found.MB = found.Rate * float64(size) / 1e6
	if len(all) > 0 {
		found.P50 = float64(all[len(all)/2].Nanoseconds()) / 1e3
		found.P99 = float64(all[len(all)*99/100].Nanoseconds()) / 1e3
	}
	return found
}

func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) != 6 {
		log.Fatal("usage: load_tls PORT CONNECTIONS SIZE WARMUP SECONDS")
	}
	size, seconds := int(number(os.Args[3])), number(os.Args[5])
	clients := make([]*client, int(number(os.Args[2])))
	for i := range clients {
		clients[i] = open(os.Args[1])
	}
	measured := time.Now().Add(time.Duration(number(os.Args[4]) * 1e9))
	end := measured.Add(time.Duration(seconds * 1e9))
	var running sync.WaitGroup
	for _, c := range clients {
		running.Add(1)
		go func(c *client) {
			defer running.Done()
			c.load(size, measured, end)
		}(c)
	}
	time.Sleep(time.Until(measured))
	before := cpu()
	time.Sleep(time.Until(end))
	busy := (cpu() - before) / seconds
	running.Wait()
	json.NewEncoder(os.Stdout).Encode(summary(clients, size, seconds, busy))
}
