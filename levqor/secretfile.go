package levqor

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ParseSecrets reads secrets with commas between, for [Options.OldSecrets].
func ParseSecrets(list string) [][]byte {
	var all [][]byte
	for secret := range strings.SplitSeq(list, ",") {
		if secret = strings.TrimSpace(secret); secret != "" {
			all = append(all, []byte(secret))
		}
	}
	return all
}

// SecretFile returns the secret that is kept in a file, for [Options.Secret] where there
// is one machine. The first call makes the file, readable by its owner alone; processes
// that start at the same time agree. The error names the path: it is for the operator.
func SecretFile(path string) ([]byte, error) {
	kept, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecret(path); err != nil {
			return nil, fmt.Errorf("levqor: keep the secret: %w", err)
		}
		kept, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("levqor: read the secret: %w", err)
	}
	return []byte(strings.TrimSpace(string(kept))), nil
}

// makeSecret writes a secret aside, to a name that nobody has, and links it into
// place, so a process that starts at the same time finds no file or all of it.
func makeSecret(path string) error {
	aside, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(aside.Name()) }()
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // does not fail
	_, err = aside.WriteString(hex.EncodeToString(fresh) + "\n")
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return err
	}
	if err := os.Link(aside.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
