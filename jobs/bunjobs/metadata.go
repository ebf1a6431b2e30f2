package bunjobs

import (
	"encoding/json"
	"maps"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// metadataText returns metadata as a column: NULL for none.
func metadataText(all map[string]string) *string {
	if len(all) == 0 {
		return nil
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err) // texts only
	}
	return text(raw)
}

func metadataOf(s *string) map[string]string {
	if s == nil {
		return nil
	}
	var all map[string]string
	if err := json.Unmarshal([]byte(*s), &all); err != nil {
		return map[string]string{"error": "unreadable metadata"}
	}
	return all
}

// metadataColumn returns the metadata of a batch. Jobs that are stored together often
// have the same, which is written as text once.
func metadataColumn(batch []jobs.Insertion) bundb.Column {
	var texts []*string // nil as long as there are none
	for i := range batch {
		switch all := batch[i].Metadata; {
		case len(all) == 0:
		case texts == nil:
			texts = make([]*string, len(batch))
			texts[i] = metadataText(all)
		case maps.Equal(all, batch[i-1].Metadata):
			texts[i] = texts[i-1]
		default:
			texts[i] = metadataText(all)
		}
	}
	return bundb.Column{Name: "metadata", Text: func(i int) (string, bool) {
		if texts == nil || texts[i] == nil {
			return "", false
		}
		return *texts[i], true
	}}
}
