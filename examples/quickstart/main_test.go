package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// rig is the program, with documents and a working directory.
type rig struct {
	*testing.T
	path, dir string
	docs      []string
}

func newRig(t *testing.T, documents int) *rig {
	t.Helper()
	r := &rig{T: t, path: filepath.Join(t.TempDir(), "quickstart"), dir: t.TempDir()}
	if runtime.GOOS == "windows" {
		r.path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", r.path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for i := range documents {
		doc := filepath.Join(r.dir, fmt.Sprintf("%d.md", i))
		r.write(doc, fmt.Sprintf("# Title %d\n\n%s\n", i, strings.Repeat("word ", 1000)))
		r.docs = append(r.docs, doc)
	}
	return r
}

func (r *rig) write(path, text string) {
	r.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) command(docs ...string) *exec.Cmd {
	cmd := exec.Command(r.path, docs...)
	cmd.Dir = r.dir
	return cmd
}

// run runs the program to its end and returns its table and its last line.
func (r *rig) run(docs ...string) (table, last string) {
	r.Helper()
	out, err := r.command(docs...).Output()
	if err != nil {
		r.Fatalf("the program ended with %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return string(out), lines[len(lines)-1]
}

func TestWhatIsDoneIsNotDoneAgain(t *testing.T) {
	r := newRig(t, 10)
	table, last := r.run(r.docs...)
	if last != "ran 10, reused 0" || !strings.Contains(table, "Title 7") || !strings.Contains(table, "1003") {
		t.Errorf("the first run ended with %q and the table\n%s", last, table)
	}
	if _, last := r.run(r.docs...); last != "ran 0, reused 10" {
		t.Errorf("the second run ended with %q", last)
	}
	r.write(r.docs[3], "# Changed\n")
	if table, last := r.run(append(r.docs, r.docs[3])...); last != "ran 1, reused 9" || !strings.Contains(table, "Changed") {
		t.Errorf("the run after a change ended with %q and the table\n%s", last, table)
	}
}

// The program is killed at random moments. After the last run every document
// is in the table once, and no run takes long.
func TestKillsLoseNothingAndRepeatNothing(t *testing.T) {
	r := newRig(t, 300)
	begun := time.Now()
	full := func() time.Duration { // how long a run takes, to kill within it
		other := *r
		other.dir = t.TempDir()
		other.run(r.docs...)
		return time.Since(begun)
	}()
	killed := 0
	for range 10 {
		cmd := r.command(r.docs...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(full * 3 / 4))
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err != nil {
			killed++
		}
	}
	begun = time.Now()
	table, last := r.run(r.docs...)
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("after the kills the last run took %v", took)
	}
	var ran, reused int
	if _, err := fmt.Sscanf(last, "ran %d, reused %d", &ran, &reused); err != nil || ran+reused != len(r.docs) {
		t.Errorf("the last run ended with %q", last)
	}
	for i := range r.docs {
		if n := len(regexp.MustCompile(fmt.Sprintf(`(?m)[\\/]%d\.md  +Title %d  `, i, i)).FindAllString(table, -1)); n != 1 {
			t.Errorf("document %d is in the table %d times", i, n)
		}
	}
	if killed == 0 {
		t.Error("no run was killed before its end")
	}
	t.Logf("%d runs killed; the last one %s in %v", killed, last, time.Since(begun))
}

func TestDocumentsThatAreGoneAreReported(t *testing.T) {
	r := newRig(t, 1)
	if out, err := r.command(filepath.Join(r.dir, "nope.md")).CombinedOutput(); err == nil {
		t.Errorf("a missing file is no error:\n%s", out)
	}
	if table, last := r.run(); last != "ran 1, reused 0" || !strings.Contains(table, "Title 0") {
		t.Errorf("without arguments it ended with %q and\n%s", last, table)
	}
}
