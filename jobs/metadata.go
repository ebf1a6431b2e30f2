package jobs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Bounds of a job's metadata, next to [MaxNameLength] for the names.
const (
	// MaxMetadata bounds the number of entries.
	MaxMetadata = 32
	// MaxMetadataValue bounds a value, in bytes.
	MaxMetadataValue = 512
)

// checkMetadata returns an ErrInvalid for each entry that stores need not keep, in
// the order of their names.
func checkMetadata(all map[string]string) error {
	if len(all) == 0 {
		return nil // most jobs, without the list of names
	}
	if len(all) > MaxMetadata {
		return invalid("/metadata", "too_long", fmt.Sprintf("must have at most %d entries", MaxMetadata))
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		field := "/metadata/" + pointerEscaper.Replace(name)
		errs = append(errs, checkName(field, name))
		if value := all[name]; storable(value, MaxMetadataValue) != value {
			errs = append(errs, invalid(field, "invalid", fmt.Sprintf("must be at most %d bytes of text", MaxMetadataValue)))
		}
	}
	return errors.Join(errs...)
}

// ownMetadata returns a copy; what has no entries is nil.
func ownMetadata(all map[string]string) map[string]string {
	if len(all) == 0 {
		return nil
	}
	return maps.Clone(all)
}
