package main_test

import (
	"os/exec"
	"strings"
	"testing"
)

func TestOnlyWhatFailedIsPrintedWithThePackages(t *testing.T) {
	for name, c := range map[string]struct{ events, want string }{
		"a test that passes": {`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN TestA\n"}
			{"Action":"pass","Package":"p","Test":"TestA"}
			{"Action":"output","Package":"p","Output":"PASS\n"}
			{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
			{"Action":"pass","Package":"p"}`, "ok  \tp\t0.1s\n"},
		"a test that fails beside one that passes": {`{"Action":"output","Package":"p","Test":"TestA","Output":"why\n"}
			{"Action":"output","Package":"q","Test":"TestA","Output":"noise\n"}
			{"Action":"pass","Package":"q","Test":"TestA"}
			{"Action":"fail","Package":"p","Test":"TestA"}
			{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
			{"Action":"fail","Package":"p"}`, "why\nFAIL\tp\t0.1s\n"},
		"a package that does not build": {`{"ImportPath":"p","Action":"build-output","Output":"p.go:1: wrong\n"}
			{"ImportPath":"p","Action":"build-fail"}`, "p.go:1: wrong\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("go", "run", ".")
			cmd.Stdin = strings.NewReader(c.events)
			got, err := cmd.CombinedOutput()
			if err != nil || string(got) != c.want {
				t.Errorf("printed %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
