package main

import (
	"flag"
	"fmt"
	"io"
)

// options are the command line.
type options struct {
	addr    string
	data    string
	sandbox bool
}

// parseOptions reads args and writes what is wrong with them, or the help, to out.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:7071", "`host:port` to answer at; the host must be a loopback address")
	flags.StringVar(&o.data, "data", ".fhirlink", "`folder` that links and secrets are kept in")
	flags.BoolVar(&o.sandbox, "sandbox", true, "serve a sandbox Entra and sandbox FHIR servers inside the process")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag; see -help", flags.Arg(0))
	}
	if err := checkLoopback(o.addr); err != nil {
		return o, fmt.Errorf("-addr: %w", err)
	}
	return o, nil
}
