package jobs_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// brokenEnv names the broken store that TestBroken runs the kit on.
const brokenEnv = "LEVQOR_BROKEN_STORE"

// TestKitFindsBrokenStores runs the kit on stores with one defect each, in
// processes of their own since the kit must fail there.
func TestKitFindsBrokenStores(t *testing.T) {
	if os.Getenv(brokenEnv) != "" {
		t.Skip("this is the process of a broken store")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestBroken$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), brokenEnv+"="+b.name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the kit passed the store")
			}
			if strings.Contains(string(out), "panic:") {
				t.Errorf("the kit did not end by itself:\n%s", out)
			}
			if !strings.Contains(string(out), "--- FAIL: TestBroken/"+b.noticed) {
				t.Errorf("the kit failed, but not at %s:\n%s", b.noticed, out)
			}
		})
	}
}

func TestBroken(t *testing.T) {
	name := os.Getenv(brokenEnv)
	for _, b := range broken {
		if b.name == name {
			jobstest.TestStore(t, func(*testing.T) jobs.Store { return b.open(jobs.NewMemStore()) })
			return
		}
	}
	t.Skip("runs for TestKitFindsBrokenStores")
}
