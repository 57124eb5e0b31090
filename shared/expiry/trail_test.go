package expiry_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"fhirlink/shared/expiry"
	"fhirlink/shared/link"
	"fhirlink/shared/store/celltest"
)

// trimmed is a trail that loses n events with each run, or answers err.
type trimmed struct {
	n   int
	err error
}

func (t trimmed) Trim(context.Context) (int, error) { return t.n, t.err }

// TestTrimmed: every run trims the trail and what apps have left; where that fails, it is no failure of
// the run.
func TestTrimmed(t *testing.T) {
	for _, tt := range []trimmed{{n: 7}, {n: 3, err: errors.New("planted")}} {
		var log bytes.Buffer
		l := &ledger{due: slugs(2), tended: map[link.Slug]int{}, tend: func(_ context.Context, s link.Slug) (link.Finding, error) {
			return link.Finding{Slug: s}, nil
		}}
		r, err := expiry.Sweep{Links: l, Trail: tt, Launches: trimmed{tt.n + 1, tt.err}, Cells: celltest.New(), Log: slog.New(slog.NewJSONHandler(&log, nil))}.Run(t.Context())
		if err != nil || r.Done != 2 || r.Trimmed != tt.n || r.Ended != tt.n+1 || r.SucceededAt.IsZero() {
			t.Errorf("%+v, %v", r, err)
		}
		if warned := strings.Contains(log.String(), `"msg":"trail.untrimmed"`); warned != (tt.err != nil) || !strings.Contains(log.String(), `"trimmed":`) {
			t.Errorf("the log is %s", &log)
		}
		if warned := strings.Contains(log.String(), `"msg":"launches.untrimmed"`); warned != (tt.err != nil) || !strings.Contains(log.String(), `"ended":`) {
			t.Errorf("the log is %s", &log)
		}
	}
}
