package archtest_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheModuleFileIsLean(t *testing.T) {
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		for _, word := range []string{"replace", "tool", "exclude"} {
			if strings.HasPrefix(line, word) {
				t.Errorf("go.mod has the line %q, which users would inherit or miss", strings.TrimSpace(line))
			}
		}
	}
}

func TestTheServerIsThin(t *testing.T) {
	lines := 0
	for _, p := range packages(t) {
		if p.path() != "examples/server" {
			continue
		}
		for _, name := range p.GoFiles {
			raw, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(raw, []byte("\n"))
		}
	}
	if lines == 0 || lines > 300 {
		t.Errorf("examples/server has %d lines; what it lacks belongs in levqor or httpapi", lines)
	}
}

// A program of its own module that imports jobs alone downloads nothing.
func TestAProgramWithJobsAloneNeedsNoThirdParty(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/host\n\ngo 1.26\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+filepath.ToSlash(root)+"\n")
	write("main.go", "package main\n\nimport \""+module+"/jobs\"\n\nfunc main() { println(jobs.DefaultQueue) }\n")
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-mod=mod -modcacherw", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go run: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.sum")); !os.IsNotExist(err) {
		t.Errorf("go.sum was written: %v", err)
	}
}

// The repository is read by people who have neither the machine that it was
// written on nor the mirrors that it was built from.
func TestNoFileNamesAMachineOrARegistry(t *testing.T) {
	var banned [][]byte
	for _, parts := range [][2]string{
		{"/work", "/main"},
		{"/work", "/shared"},
		{"/root", "/go"},
		{"/home", "/runner"},
		{"proxy.", "golang.org"},
		{"sum.", "golang.org"},
		{"deb.", "debian.org"},
		{"registry.", "npmjs.org"},
	} {
		banned = append(banned, []byte(parts[0]+parts[1])) // in parts, or this file would be the first
	}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == ".cache" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.Contains(d.Name(), ".db") { // databases that a developer left
			return nil
		}
		raw, err := os.ReadFile(name)
		for _, words := range banned {
			if bytes.Contains(raw, words) {
				t.Errorf("%s names %s", name, words)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
