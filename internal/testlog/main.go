// Command testlog reads what go test -json writes and prints what go test would have
// printed: a line for each package, and the output of tests that failed.
//
//	go test -json ./... | tee results.json | go run ./internal/testlog
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := readable(os.Stdout, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testlog:", err)
		os.Exit(1)
	}
}

// readable keeps the output of each test until its verdict, and prints at once what a
// package says outside its tests and what does not build.
func readable(w io.Writer, r io.Reader) error {
	type name struct{ pkg, test string }
	kept := map[name]string{}
	for dec := json.NewDecoder(r); ; {
		var e struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		n, text := name{e.Package, e.Test}, ""
		switch {
		case e.Action == "output" && e.Test != "":
			kept[n] += e.Output
		case e.Action == "output" && e.Output != "PASS\n", e.Action == "build-output":
			text = e.Output
		case e.Action == "fail":
			text = kept[n]
			delete(kept, n)
		case e.Action == "pass", e.Action == "skip":
			delete(kept, n)
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
}
