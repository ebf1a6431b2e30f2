package bunlevqor

import (
	"errors"
	"strings"

	"github.com/levqor/sdk/levqor"
)

// Secret returns the secret of a service on a database: the one that is given, or with
// SQLite, where there is one machine, that of a file beside the database, which the first
// call makes. Nodes on PostgreSQL have to agree, so there it must be given.
func Secret(given, databaseURL string) ([]byte, error) {
	if given != "" {
		return []byte(given), nil
	}
	path, isFile := strings.CutPrefix(databaseURL, "sqlite://")
	if !isFile {
		return nil, errors.New("LEVQOR_SECRET must be set with PostgreSQL, the same on all nodes; make one with: openssl rand -hex 32")
	}
	return levqor.SecretFile(path + ".secret")
}
