package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
)

// SecurityEvents goes through the security events of the caller's tenant that match, the
// last first, page by page. The cursor of the filter is where it begins; nil goes through
// all. It ends after the first error.
func (s *Service) SecurityEvents(ctx context.Context, filter *ListSecurityEventsParams) iter.Seq2[SecurityEvent, error] {
	var params ListSecurityEventsParams
	if filter != nil {
		params = *filter
	}
	return pages(func(cursor *string) ([]SecurityEvent, *string, error) {
		params := params
		if cursor != nil {
			params.Cursor = cursor
		}
		resp, err := s.api.ListSecurityEventsWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, unreachable("list security events", err)
		}
		page, err := one("list security events", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}

// VerifySecurityEvents reports whether all security events of the caller's tenant are there
// as they were recorded.
func (s *Service) VerifySecurityEvents(ctx context.Context) (*SecurityReport, error) {
	resp, err := s.api.VerifySecurityEventsWithResponse(ctx)
	if err != nil {
		return nil, unreachable("verify security events", err)
	}
	return one("verify security events", resp.JSON200, resp.HTTPResponse, resp.Body)
}

var errCutOff = errors.New("the export was cut off")

// ExportSecurityEvents goes through all security events of the caller's tenant after a
// number, the first first; the last one tells that they were exported. It ends after the
// first error, which is ErrUnavailable if the export was cut off: go on after the Seq of
// the last event.
func (s *Service) ExportSecurityEvents(ctx context.Context, after int64) iter.Seq2[SecurityEvent, error] {
	return func(yield func(SecurityEvent, error) bool) {
		body, err := s.openExport(ctx, after)
		if err != nil {
			yield(SecurityEvent{}, err)
			return
		}
		defer func() { _ = body.Close() }()
		var last SecurityEvent
		for lines := json.NewDecoder(bufio.NewReader(body)); ; {
			var e SecurityEvent
			err := lines.Decode(&e)
			if err == io.EOF && last.Action == SecurityActionLogExported {
				return
			}
			if err != nil {
				yield(SecurityEvent{}, unreachable("export security events", errors.Join(errCutOff, err)))
				return
			}
			if last = e; !yield(e, nil) {
				return
			}
		}
	}
}

// openExport asks for an export. It returns an error for any other answer.
func (s *Service) openExport(ctx context.Context, after int64) (io.ReadCloser, error) {
	resp, err := s.streams.ExportSecurityEvents(ctx, &ExportSecurityEventsParams{After: &after})
	if err != nil {
		return nil, unreachable("export security events", err)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && media == "application/x-ndjson" {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, unreachable("export security events", err)
	}
	if _, err = one[SecurityEvent]("export security events", nil, resp, body); err == nil {
		err = fmt.Errorf("client: export security events: an answer of type %q", media)
	}
	return nil, err
}
