// The echo server in Go: a goroutine for each connection, blocking style, one core.
package main

import (
	"log"
	"net"
	"os"
	"runtime"
)

// Holds the largest message of the benchmark in one read, and no more: it is each connection's own.
const bufferSize = 16 * 1024

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, bufferSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept() // net sets TCP_NODELAY
		if err != nil {
			log.Fatal(err)
		}
		go echo(conn)
	}
}
