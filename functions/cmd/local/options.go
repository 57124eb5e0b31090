package main

import (
	"flag"
	"fmt"
	"io"
	"time"
)

// options are the command line.
type options struct {
	addr    string
	data    string
	sandbox bool
	signIn  bool
	ahead   ahead
}

// parseOptions parses args, and writes mistakes in them or the help to out.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the caller prints the error, once
	flags.StringVar(&o.addr, "addr", "127.0.0.1:7071", "`host:port` to answer at; the host must be a loopback address")
	flags.StringVar(&o.data, "data", ".fhirlink", "`folder` that links and secrets are kept in")
	flags.BoolVar(&o.sandbox, "sandbox", true, "serve a sandbox Entra and sandbox FHIR servers inside the process")
	flags.BoolVar(&o.signIn, "sign-in", false, "let people sign in at the pages: at the sandbox's Entra, or at the real one if FHIRLINK_API_AUDIENCE and FHIRLINK_ALLOWED_TENANTS are set")
	now := flags.String("now", "", "move the clock forward to this `time`: +61d, +36h, 2027-05-01 or 2027-05-01T08:00:00Z; for trying things out")
	if err := flags.Parse(args); err != nil {
		fmt.Fprintln(out, "Flags:")
		flags.SetOutput(out)
		flags.PrintDefaults()
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag; see -help", flags.Arg(0))
	}
	if err := checkLoopback(o.addr); err != nil {
		return o, fmt.Errorf("-addr: %w", err)
	}
	var err error
	if o.ahead, err = parseAhead(*now, time.Now()); err != nil {
		return o, fmt.Errorf("-now: %w", err)
	}
	return o, nil
}
