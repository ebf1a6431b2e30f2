package archtest_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The inventory of cryptography is a table of docs/security.md: imports, and packages that
// have them.
func TestTheInventoryOfCryptographyIsWhole(t *testing.T) {
	raw, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for row := range strings.Lines(string(raw)) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || !strings.HasPrefix(row, "| crypto/") {
			continue
		}
		for name := range strings.FieldsSeq(cells[1]) {
			for p := range strings.FieldsSeq(cells[2]) {
				written[p+" imports "+name] = true
			}
		}
	}
	found := map[string]bool{}
	for _, s := range sources(t) {
		for _, name := range s.imports() {
			if within(name, "crypto") || within(name, "golang.org/x/crypto") {
				found[s.pkg+" imports "+name] = true
			}
		}
	}
	for _, pair := range slices.Sorted(maps.Keys(found)) {
		if !written[pair] {
			t.Errorf("%s, which docs/security.md does not say", pair)
		}
	}
	for _, pair := range slices.Sorted(maps.Keys(written)) {
		if !found[pair] {
			t.Errorf("docs/security.md says that %s, which is not so", pair)
		}
	}
}

// fixed is since when modules are without a hole that is known. It is not a search for
// holes, which govulncheck is; it keeps versions from falling back.
var fixed = map[string]string{
	"github.com/getkin/kin-openapi":       "v0.131.0", // CVE-2025-30153
	"github.com/jackc/pgx/v5":             "v5.5.4",   // CVE-2024-27304
	"github.com/prometheus/client_golang": "v1.11.1",  // CVE-2022-21698
	"github.com/uptrace/bun":              "v1.3.0",   // arguments of queries, uptrace/bun#1395
	"golang.org/x/crypto":                 "v0.45.0",  // CVE-2025-58181, CVE-2025-47914
	"golang.org/x/net":                    "v0.38.0",  // CVE-2025-22872
	"golang.org/x/text":                   "v0.3.8",   // CVE-2022-32149
	"google.golang.org/protobuf":          "v1.33.0",  // CVE-2024-24786
}

func TestNoModuleIsOlderThanTheFixOfAKnownHole(t *testing.T) {
	raw, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	unseen := maps.Clone(fixed)
	for row := range strings.Lines(string(raw)) {
		words := strings.Fields(strings.TrimPrefix(row, "require "))
		if len(words) < 2 || fixed[words[0]] == "" {
			continue
		}
		delete(unseen, words[0])
		if slices.Compare(version(t, words[1]), version(t, fixed[words[0]])) < 0 {
			t.Errorf("%s is %s, want at least %s", words[0], words[1], fixed[words[0]])
		}
	}
	for name := range unseen {
		t.Errorf("%s is in the list and not in go.mod", name)
	}
}

// version reads vX.Y.Z, and leaves out what follows.
func version(t *testing.T, text string) []int {
	t.Helper()
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "v"), "-")
	parts := strings.Split(text, ".")
	numbers := make([]int, len(parts))
	for i, part := range parts {
		var err error
		if numbers[i], err = strconv.Atoi(part); err != nil {
			t.Fatal(err)
		}
	}
	return numbers
}
