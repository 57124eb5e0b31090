package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"fhirlink/functions/cmd/internal/serve"
	"fhirlink/shared/config"
	"fhirlink/shared/eventlog"
)

// version is set by the linker.
var version = "dev"

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong flags or settings, which the user can correct
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// run is the program: it answers until ctx ends and returns the exit status.
func run(ctx context.Context, args []string, env config.Lookup, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	c, err := config.Local(env)
	if err != nil {
		fmt.Fprintf(stderr, "Some settings are wrong:\n%v\n", err)
		return exitUsage
	}
	out := eventlog.NewWriter(stdout, 0)
	defer func() { _ = out.Close() }() // fails when stdout is gone, where the error cannot be reported
	log := eventlog.New(out, slog.LevelInfo)

	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		fmt.Fprintf(stderr, "-addr: %v. If fhirlink runs there already, use that one. If another program has the port, name another one with -addr 127.0.0.1:PORT\n", err)
		return exitUsage
	}
	if c.PublicURL == "" {
		c.PublicURL = localURL(l.Addr())
	}
	p, err := newProgram(o, c, log)
	if err != nil {
		fmt.Fprintln(stderr, err)
		_ = l.Close() // nothing was served
		return exitUsage
	}
	p.banner(ctx, out, l.Addr(), c.PublicURL, o)
	status := p.serve(ctx, l, log, stderr)
	return max(status, closed(p, stderr))
}

// localURL is the origin of the pages unless a setting says otherwise. Browsers take Secure cookies from
// localhost by this name.
func localURL(addr net.Addr) string {
	_, port, _ := net.SplitHostPort(addr.String()) // a listener's address has a port
	return "http://localhost:" + port
}

// serve answers requests and runs sweeps until ctx ends.
func (p *program) serve(ctx context.Context, l net.Listener, log *slog.Logger, stderr io.Writer) int {
	var sweeps sync.WaitGroup
	defer sweeps.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sweeps.Go(func() { p.sweepEvery(ctx, time.Minute) })
	if err := serve.Run(ctx, l, p.handler, log); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitOK
}

// sweepEvery does what the timer function does in the cloud. It ignores the error of a run: the
// run has logged it, and the next run tries again.
func (p *program) sweepEvery(ctx context.Context, pause time.Duration) {
	for ticker := time.NewTicker(pause); ; {
		_, _ = p.sweep.Run(ctx)
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
		}
	}
}

func closed(p *program, stderr io.Writer) int {
	if err := p.close(); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitOK
}
