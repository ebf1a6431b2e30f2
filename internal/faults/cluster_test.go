//go:build unix

package faults_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/bunopen"
)

// cluster is a PostgreSQL server of the test's own, which it may stop as it likes.
type cluster struct {
	*testing.T
	dir      string
	port     int
	settings []string
	owner    *syscall.SysProcAttr // who the server runs as: it refuses root
	server   *exec.Cmd
}

// newCluster starts a server with the given settings, such as "fsync=off". Without the
// programs of PostgreSQL the test is skipped, loudly; with CI=true it fails.
func newCluster(t *testing.T, settings ...string) *cluster {
	t.Helper()
	initdb, ok := postgresProgram("initdb")
	if !ok {
		if os.Getenv("CI") == "true" {
			t.Fatal("initdb is missing, and CI=true")
		}
		t.Skip("SKIPPED, NOT PASSED: the programs of a PostgreSQL server are not installed")
	}
	dir, err := os.MkdirTemp("", "levqor-faults") //nolint:usetesting // the test's own directory is closed to the server's user
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, dir: dir, port: freePort(t), settings: settings}
	t.Cleanup(c.remove)
	if os.Getuid() == 0 {
		c.disown()
	}
	cmd := exec.Command(initdb, "-D", filepath.Join(dir, "data"), "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale", "C")
	cmd.SysProcAttr, cmd.Dir = c.owner, dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	c.start()
	return c
}

// disown gives the directory to the user that Debian's packages make.
func (c *cluster) disown() {
	c.Helper()
	postgres, err := user.Lookup("postgres")
	if err != nil {
		c.Fatal(err)
	}
	uid, err1 := strconv.Atoi(postgres.Uid)
	gid, err2 := strconv.Atoi(postgres.Gid)
	if err1 != nil || err2 != nil {
		c.Fatal(err1, err2)
	}
	if err := os.Chown(c.dir, uid, gid); err != nil {
		c.Fatal(err)
	}
	c.owner = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// postgresProgram finds a program that packages often leave out of the path.
func postgresProgram(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		return "", false
	}
	return found[len(found)-1], true
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// url returns the server's address; programs are told apart by their name.
func (c *cluster) url(program string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&application_name=%s", c.port, program)
}

// start starts the server and waits until it answers.
func (c *cluster) start() {
	c.Helper()
	program, _ := postgresProgram("postgres")
	args := []string{"-D", filepath.Join(c.dir, "data"), "-p", strconv.Itoa(c.port), "-k", c.dir, "-c", "listen_addresses=127.0.0.1"}
	for _, s := range c.settings {
		args = append(args, "-c", s)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.Fatal(err)
	}
	defer log.Close()
	c.server = exec.Command(program, args...)
	c.server.SysProcAttr, c.server.Dir, c.server.Stderr = c.owner, c.dir, log
	if err := c.server.Start(); err != nil {
		c.Fatal(err)
	}
	db, err := bunopen.Open(c.url("test"))
	if err != nil {
		c.Fatal(err)
	}
	defer db.Close()
	for deadline := time.Now().Add(patience); db.PingContext(c.Context()) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			raw, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			c.Fatalf("the server does not answer:\n%s", raw)
		}
	}
}

// set restarts the server with another setting.
func (c *cluster) set(setting string) {
	c.Helper()
	c.stop(fast)
	c.settings = append(c.settings, setting)
	c.start()
}

// Ways to stop a server, as pg_ctl calls them.
const (
	fast      = syscall.SIGINT  // connections are cut, what was committed is written
	immediate = syscall.SIGQUIT // as a crash: what was not written is gone
)

// stop stops the server and waits for its end.
func (c *cluster) stop(mode syscall.Signal) {
	c.Helper()
	if err := c.server.Process.Signal(mode); err != nil {
		c.Fatal(err)
	}
	_ = c.server.Wait()
	c.server = nil
}

// die stops the server as the death of its machine would, which loses what was not on
// disk: of the log of writes, all that lies behind what had been forced to disk at the
// instant that it returns. The settings must keep other files from being written.
func (c *cluster) die(r *rig) time.Time {
	c.Helper()
	died := time.Now()
	var at struct {
		Name   string `bun:"file_name"`
		Offset int64  `bun:"file_offset"`
	}
	if err := r.db.NewRaw("SELECT file_name, file_offset FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())").Scan(c.Context(), &at); err != nil {
		c.Fatal(err)
	}
	c.stop(immediate)
	log := filepath.Join(c.dir, "data", "pg_wal")
	files, err := os.ReadDir(log)
	if err != nil {
		c.Fatal(err)
	}
	for _, f := range files {
		if !f.IsDir() && f.Name() >= at.Name {
			c.wipe(filepath.Join(log, f.Name()), map[bool]int64{true: at.Offset}[f.Name() == at.Name])
		}
	}
	return died
}

// wipe fills a file with zeros from an offset on.
func (c *cluster) wipe(path string, offset int64) {
	c.Helper()
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, offset)
	}
	if err == nil {
		err = os.Truncate(path, info.Size())
	}
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) remove() {
	if c.server != nil {
		_ = c.server.Process.Signal(immediate)
		_ = c.server.Wait()
	}
	_ = os.RemoveAll(c.dir)
}

// cut ends the connections of all programs whose name begins so.
func (c *cluster) cut(r *rig, program string) int {
	c.Helper()
	if strings.ContainsAny(program, `'\`) {
		c.Fatal("the name would end the text of the query")
	}
	return max(0, r.count("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE '"+program+"%'"))
}
