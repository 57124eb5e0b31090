package hosttest

import (
	"bytes"
	"log/slog"
	"strings"
)

// console splits the output of a process into lines.
type console struct {
	write func(line string)
	rest  []byte
}

func (c *console) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, rest, ok := bytes.Cut(c.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		c.rest = rest
		c.write(strings.TrimSuffix(string(line), "\r"))
	}
}

// systemLog is the prefix of lines for the host's own log.
const systemLog = "LanguageWorkerConsoleLog"

func (h *Host) fromStdout(line string) { h.logLine(slog.LevelInfo, line) }

// fromStderr logs lines as errors, unless they contain "warn". If host.json says that stderr is
// not only for errors, the words decide the level.
func (h *Host) fromStderr(line string) {
	lower := strings.ToLower(line)
	level := slog.LevelError
	switch {
	case strings.Contains(lower, "warn"):
		level = slog.LevelWarn
	case h.root.Host.Handler.ErrorsOnStderr, containsAny(lower, "error", "fail", "severe"):
	default:
		level = slog.LevelInfo
	}
	h.logLine(level, line)
}

func containsAny(line string, words ...string) bool {
	for _, word := range words {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

func (h *Host) logLine(level slog.Level, text string) {
	h.console.Lock()
	defer h.console.Unlock()
	if h.Console != nil {
		h.Console(Line{Level: level, Text: strings.TrimPrefix(text, systemLog)})
	}
}
