package jobs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"time"
)

// Unique makes a job the only one of its kind and tenant with the same arguments, or
// the same Key, as long as it is not over. Enqueueing another returns the one that is
// there.
type Unique struct {
	// Key takes the place of the arguments: 1 to 256 bytes. Stores get a hash of it.
	// Default: the arguments, secrets left out.
	Key string
	// Period makes the job unique only among those enqueued within the same period of
	// this length by the store's clock, counted from 1970: with 24 hours, within a
	// day of UTC. At least a second. Default: no bound.
	Period time.Duration
	// Over lists the final states in which a job still counts. Default: Completed
	// with a Period, none without.
	Over []State
}

// maxUniqueKey bounds [Unique.Key], in bytes.
const maxUniqueKey = 256

func (u *Unique) validate() error {
	if u == nil {
		return nil
	}
	var errs []error
	if len(u.Key) > maxUniqueKey {
		errs = append(errs, invalid("/unique/key", "too_long", fmt.Sprintf("must be at most %d bytes", maxUniqueKey)))
	}
	if u.Period != 0 && u.Period < time.Second {
		errs = append(errs, invalid("/unique/period_seconds", "too_small", "must be at least a second"))
	}
	for _, state := range u.Over {
		if !slices.Contains(States(), state) || !state.Final() {
			errs = append(errs, invalid("/unique/over", "unknown_state", "must be final states"))
		}
	}
	return errors.Join(errs...)
}

// rule returns what a store needs to know: a hash for the key.
func (u *Unique) rule(kind string, args Args) (Unique, error) {
	if u == nil {
		return Unique{}, nil
	}
	rule := Unique{Period: u.Period, Over: u.Over}
	if rule.Over == nil && u.Period > 0 {
		rule.Over = []State{Completed}
	}
	by := []byte(u.Key)
	if u.Key == "" {
		raw, err := argsWithoutSecrets(args)
		if err != nil {
			return Unique{}, err
		}
		by = raw
	}
	// A caller who looks for a collision finds one among jobs of its own, so the hash
	// need not withstand it.
	h := fnv.New128a()
	_, _ = fmt.Fprintf(h, "%s|%t|", kind, u.Key == "")
	_, _ = h.Write(by)
	rule.Key = base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	return rule, nil
}

// argsWithoutSecrets returns the JSON text of args in which secrets are empty.
func argsWithoutSecrets(args Args) ([]byte, error) {
	raw, err := marshal(args)
	if err != nil {
		return nil, invalid("/args", "not_json", "cannot be written as JSON")
	}
	if !holdsSecrets(args) {
		return raw, nil
	}
	clone := reflect.New(reflect.TypeOf(args))
	if err := json.Unmarshal(raw, clone.Interface()); err != nil {
		return nil, invalid("/args", "not_json", "cannot be read back from JSON")
	}
	for _, secret := range secretsOf(clone) {
		*secret = ""
	}
	return marshal(clone.Interface())
}

// UniqueKeyAt returns the key under which the job is unique if it is stored at an
// instant, or "".
func (j *Insertion) UniqueKeyAt(now time.Time) string {
	if j.Unique.Key == "" || j.Unique.Period == 0 {
		return j.Unique.Key
	}
	period := j.Unique.Period.Microseconds()
	begin := time.UnixMicro(now.UnixMicro() / period * period).UTC()
	return j.Unique.Key + "@" + begin.Format(time.RFC3339)
}

// Duplicates reports whether storing the job at an instant would repeat another, for
// stores.
func (j *Insertion) Duplicates(other Info, now time.Time) bool {
	return j.Unique.Key != "" && other.Tenant == j.Tenant && other.UniqueKey == j.UniqueKeyAt(now) &&
		(!other.State.Final() || slices.Contains(j.Unique.Over, other.State))
}
