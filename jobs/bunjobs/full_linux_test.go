package bunjobs_test

import (
	"errors"
	"syscall"
	"testing"
)

// The same on a disk that is really full, so the write-ahead log hits the end too. It
// needs the right to mount one.
func TestAFullDiskBreaksNothingOnADiskOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("levqor", dir, "tmpfs", 0, "size=1m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skip("SKIPPED, NOT PASSED: no right to mount a disk")
	}
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, "sqlite://"+dir+"/test.db")
	t.Cleanup(func() {
		_ = r.db.Close()
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	r.fillUp(func(full bool) {
		if full {
			return // it is small
		}
		if err := syscall.Mount("levqor", dir, "tmpfs", syscall.MS_REMOUNT, "size=100m"); err != nil {
			t.Fatal(err)
		}
	})
}
