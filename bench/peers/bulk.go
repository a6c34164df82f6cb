// Writes to whoever connects, 64 KiB at a time, until they hang up; one core.
package main

import (
	"log"
	"net"
	"os"
	"runtime"
)

func pour(conn net.Conn) {
	defer conn.Close()
	chunk := make([]byte, 65536)
	for {
		if _, err := conn.Write(chunk); err != nil {
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
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go pour(conn)
	}
}
