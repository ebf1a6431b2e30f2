package pgxjobs

import (
	"errors"
	"strings"
)

// ServerURL reads a setting of where signals go: "off" is nowhere, which is an empty URL,
// "on" the database itself, and a postgres:// URL the server behind a pooler. The error
// goes on after the name of the setting.
func ServerURL(setting, databaseURL string) (string, error) {
	switch {
	case setting == "off":
		return "", nil
	case setting == "on" && strings.HasPrefix(databaseURL, "sqlite://"):
		return "", errors.New("needs PostgreSQL: nodes on a SQLite file share a machine and look often")
	case setting == "on":
		return databaseURL, nil
	case strings.HasPrefix(setting, "postgres://"), strings.HasPrefix(setting, "postgresql://"):
		return setting, nil
	default:
		return "", errors.New("must be off, on or the postgres:// URL of the server")
	}
}
