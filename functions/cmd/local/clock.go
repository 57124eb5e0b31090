package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fhirlink/shared/entra"
)

// ahead is how far the program's clock is moved forward (the flag -now), to try out what happens
// when a secret expires. The sandbox and TLS use the real time.
type ahead time.Duration

func (a ahead) now() time.Time { return time.Now().Add(time.Duration(a)) }

// maxAhead is two years and a day, which is further than any secret lasts.
const maxAhead = 732 * 24 * time.Hour

// parseAhead reads "+61d", "+36h", a date or a time in RFC 3339. A date keeps the time of day.
func parseAhead(text string, now time.Time) (ahead, error) {
	const forms = "write it as +61d, +36h, 2027-05-01 or 2027-05-01T08:00:00Z"
	if text == "" {
		return 0, nil
	}
	by, err := offset(text, now)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%.40q is no time: %s", text, forms)
	case by < 0:
		return 0, fmt.Errorf("%.40q has passed: the clock can be moved forward only", text)
	case by > maxAhead:
		return 0, fmt.Errorf("%.40q is more than 732 days ahead", text)
	}
	return ahead(by), nil
}

func offset(text string, now time.Time) (time.Duration, error) {
	if by, relative := strings.CutPrefix(text, "+"); relative {
		if days, isDays := strings.CutSuffix(by, "d"); isDays {
			n, err := strconv.ParseUint(days, 10, 12)
			return time.Duration(n) * 24 * time.Hour, err
		}
		return time.ParseDuration(by)
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.Sub(now.UTC().Truncate(24 * time.Hour)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	return at.Sub(now), err
}

// shiftedSource is a source of tokens whose expiry is moved forward with the clock.
type shiftedSource struct {
	entra.TokenSource
	by ahead
}

// Token implements [entra.TokenSource].
func (s shiftedSource) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	t, err := s.TokenSource.Token(ctx, c, scope)
	if err == nil {
		t.ExpiresOn = t.ExpiresOn.Add(time.Duration(s.by))
	}
	return t, err
}
