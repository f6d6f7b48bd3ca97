// Go's net/http. usage: server THREADS BYTES PORT
package main

import (
	"net/http"
	"os"
	"runtime"
	"strconv"
)

func main() {
	threads, _ := strconv.Atoi(os.Args[1])
	runtime.GOMAXPROCS(threads)
	if os.Args[2] == "13" {
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Write([]byte("Hello, world\n"))
		})
	} else {
		http.Handle("/", http.FileServer(http.Dir("build/http/files")))
	}
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[3], nil))
}
