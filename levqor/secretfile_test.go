package levqor_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/levqor/sdk/levqor"
)

func TestASecretFileIsMadeOnceAndForItsOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	var wg sync.WaitGroup
	secrets := make([]string, 8)
	for i := range secrets {
		wg.Go(func() {
			secret, err := levqor.SecretFile(path)
			if err != nil {
				t.Errorf("SecretFile = %v", err)
			}
			secrets[i] = string(secret)
		})
	}
	wg.Wait()
	for _, secret := range secrets {
		if secret != secrets[0] || len(secret) < levqor.MinSecret {
			t.Errorf("the secrets are %q, want one of at least %d bytes", secrets, levqor.MinSecret)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want it readable by its owner alone", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v is left, %v; want the file alone", entries, err)
	}
	if _, err := levqor.SecretFile(filepath.Join(path, "x")); err == nil {
		t.Error("SecretFile in a folder that is none = nil, want an error")
	}
}
