package bunopen_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/levqor/sdk/internal/bunopen"
	"github.com/levqor/sdk/internal/fault"
)

func TestSQLiteIsOpenedWithWhatTheStoresCountOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a file?with #odd%20 characters.db")
	db, err := bunopen.Open("sqlite://" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "15000", "wal_autocheckpoint": "4000"} {
		var got string
		if err := db.NewRaw("PRAGMA "+pragma).Scan(t.Context(), &got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the file is elsewhere: %v", err)
	}
	if n := db.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections may be open, want 1", n)
	}
}

func TestARelativePathIsRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	db, err := bunopen.Open("sqlite://x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("x.db"); err != nil {
		t.Errorf("the file is elsewhere: %v", err)
	}
}

func TestOpenRefusesAndDoesNotRepeat(t *testing.T) {
	for _, address := range []string{"", "x.db", "mysql://u:hunter2@h/d", "sqlite://", "sqlite://a\x00b", "sqlite://:memory:", "postgres://u:hunter2@h:port/d"} {
		_, err := bunopen.Open(address)
		if !errors.Is(err, fault.ErrInvalid) || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("Open(%q) = %v, want ErrInvalid that does not repeat it", address, err)
		}
	}
}
