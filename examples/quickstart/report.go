package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/levqor/sdk/jobs"
)

// follow shows how far the jobs are until all are over.
func follow(ctx context.Context, queue *jobs.Queue, ids []jobs.ID, over map[jobs.ID]jobs.Info) error {
	for {
		err := collect(ctx, queue, ids, over)
		fmt.Fprintf(os.Stderr, "\r%d of %d documents indexed", len(over), len(ids))
		if err != nil || len(over) == len(ids) {
			fmt.Fprintln(os.Stderr)
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// collect adds the jobs that are over to those known to be.
func collect(ctx context.Context, queue *jobs.Queue, ids []jobs.ID, over map[jobs.ID]jobs.Info) error {
	for _, id := range ids {
		if _, known := over[id]; known {
			continue
		}
		info, err := queue.Get(ctx, id)
		if ctx.Err() != nil {
			return errors.New("interrupted; run again to go on")
		}
		if err != nil {
			return err
		}
		if info.State.Final() {
			over[id] = info
		}
	}
	return nil
}

// report prints the table. It returns an error if a document was not indexed.
func report(all map[jobs.ID]jobs.Info, reused int) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DOCUMENT\tTITLE\tWORDS\tTOKENS\tCOST\tSHA-256")
	failed := 0
	for _, id := range slices.Sorted(maps.Keys(all)) {
		info := all[id]
		var doc Document
		if err := json.Unmarshal(info.Args, &doc); err != nil {
			return err
		}
		if info.State != jobs.Completed {
			failed++
			fmt.Fprintf(w, "%s\t(%s: %s)\n", doc.Path, info.State, info.Attempts[len(info.Attempts)-1].Error)
			continue
		}
		var ix Index
		if err := json.Unmarshal(info.Result, &ix); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t$%.6f\t%.12s\n", doc.Path, ix.Title, ix.Words, ix.Tokens, ix.Cost, ix.SHA256)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("ran %d, reused %d\n", len(all)-reused, reused)
	if failed > 0 {
		return fmt.Errorf("%d documents were not indexed", failed)
	}
	return nil
}
