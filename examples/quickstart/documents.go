package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// Document is what one job indexes. Path and hash together identify it.
type Document struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Kind implements [jobs.Args].
func (Document) Kind() string { return "index.document" }

// Index is what is known about a document.
type Index struct {
	Title  string  `json:"title"`
	Words  int     `json:"words"`
	SHA256 string  `json:"sha256"`
	Tokens int     `json:"tokens"`
	Cost   float64 `json:"cost"` // US dollars
}

// An English word of a language model's input is about four thirds of a token;
// a million tokens cost about three dollars with a model of middling size.
const (
	tokensPerWord    = 4.0 / 3
	dollarsPerMToken = 3.0
)

// index is the handler: it reads the document and describes it.
func index(_ context.Context, job *jobs.Job[Document]) (Index, error) {
	text, err := os.ReadFile(job.Args.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Index{}, jobs.Permanent(errors.New("the file is gone"))
	}
	if err != nil {
		return Index{}, errors.New("the file cannot be read")
	}
	if hash(text) != job.Args.SHA256 {
		return Index{}, jobs.Permanent(errors.New("the file has changed; run again"))
	}
	words := len(bytes.Fields(text))
	tokens := int(float64(words)*tokensPerWord + 0.5)
	return Index{
		Title: title(text, job.Args.Path), Words: words, SHA256: job.Args.SHA256,
		Tokens: tokens, Cost: float64(tokens) * dollarsPerMToken / 1e6,
	}, nil
}

// title returns the first heading, or the file's name.
func title(text []byte, path string) string {
	for line := range strings.Lines(string(text)) {
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			return strings.TrimSpace(heading)
		}
	}
	return filepath.Base(path)
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// documents returns the given paths as they are, or all Markdown files.
func documents(given []string) ([]string, error) {
	if len(given) > 0 {
		return given, nil
	}
	var found []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.EqualFold(filepath.Ext(path), ".md") {
			found = append(found, path)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = errors.New("no Markdown files here; name some files")
	}
	return found, err
}

// known is the program's own table: which job indexes which document.
type known struct {
	bun.BaseModel `bun:"table:quickstart_document"`

	Path   string `bun:"path,pk"`
	SHA256 string `bun:"sha256,pk"`
	Job    int64  `bun:"job"`
}

// enqueue returns the job of each document, and makes one for each that has
// none. The job and the program's own row commit together, so a kill between the
// two cannot make a document be indexed twice or never.
func enqueue(ctx context.Context, db *bun.DB, queue *jobs.Queue, paths []string) ([]jobs.ID, error) {
	_, err := db.NewCreateTable().Model((*known)(nil)).IfNotExists().Exec(ctx)
	if err != nil {
		return nil, err
	}
	var ids []jobs.ID
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		doc := known{Path: path, SHA256: hash(text)}
		err = db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			n, err := tx.NewSelect().Model(&doc).WherePK().ScanAndCount(ctx)
			if n > 0 {
				return err
			}
			info, err := queue.With(bunjobs.New(tx)).Enqueue(ctx, Document{Path: doc.Path, SHA256: doc.SHA256}, nil)
			if err != nil {
				return err
			}
			doc.Job = int64(info.ID)
			_, err = tx.NewInsert().Model(&doc).Exec(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		ids = append(ids, jobs.ID(doc.Job))
	}
	slices.Sort(ids) // a file named twice is one document
	return slices.Compact(ids), nil
}
