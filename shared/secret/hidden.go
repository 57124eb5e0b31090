package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Hidden, embedded in a struct, keeps it from being printed as a whole: for what holds secrets, opens somebody's
// record, or says whose it is. JSON is not affected.
type Hidden struct{}

// Format writes "[redacted]" for every verb.
func (Hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (Hidden) LogValue() slog.Value { return slog.StringValue(redacted) }
