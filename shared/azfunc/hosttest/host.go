package hosttest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"fhirlink/shared/problem"
)

// Version is the version that this host reports, in the form of the real host's versions.
const Version = "4.1052.200.0"

// Host is one instance of the host. Set the exported fields before calling Start.
type Host struct {
	Root     string   // the script root, as make dist stages it
	Settings []string // the app's settings, NAME=value: the handler's environment, apart from what the host adds

	// NoFrontEnd leaves out the front end of App Service. Clients then reach the host itself, which
	// believes their X-Forwarded-Proto and DISGUISED-HOST.
	NoFrontEnd bool

	// EarlyProxying makes a proxying host one of the first generation: the handler gets the client's
	// Host, and X-Forwarded-* as they came.
	EarlyProxying bool

	// ActivityTimeout is how long a proxying host waits for the head of an answer. Zero means the
	// host's 240 s.
	ActivityTimeout time.Duration

	// Keys for functions that are not anonymous; "" is never a valid key.
	FunctionKey, MasterKey string

	// Console receives the lines that the handler writes, one call at a time. It may be nil.
	Console func(Line)

	root    ScriptRoot
	timers  sync.Mutex // timer runs do not overlap
	console sync.Mutex

	mu      sync.Mutex
	worker  *worker
	changed chan struct{} // closed when worker or down changes
	down    error         // why no further handler will run
	errors  []time.Time   // of handlers that failed
	starts  int
	port    int // of every handler that this host starts
}

// Line is one line of the handler's output in the host's log.
type Line struct {
	Level slog.Level
	Text  string
}

// Start reads the script root and starts the handler if there is at least one function. It does
// not wait for the handler: requests do. Functions in error are left out, as the host does;
// [ScriptRoot.Err] of the result reports them.
func (h *Host) Start() (ScriptRoot, error) {
	root, err := ReadRoot(h.Root, h.Settings)
	if err != nil {
		return ScriptRoot{}, err
	}
	for _, f := range root.Functions {
		if _, ok := f.trigger("httpTrigger"); ok && (!f.plainHTTP() || root.Host.mode() == nil) {
			return ScriptRoot{}, fmt.Errorf("the host would send requests for %s as JSON envelopes, which hosttest does not: "+
				"give it one httpTrigger in and one http out, and host.json enableProxyingHttpRequest or enableForwardingHttpRequest", f.Name)
		}
	}
	h.root, h.changed = root, make(chan struct{})
	if len(root.Functions) == 0 {
		h.down = errors.New("no functions were found: the host starts no handler")
		return root, nil
	}
	return root, h.launch()
}

// Starts returns the number of handlers started so far.
func (h *Host) Starts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts
}

// Down returns why the host gave up, or nil while it runs.
func (h *Host) Down() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// ServeHTTP is the host's public side, behind the front end of App Service.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.NoFrontEnd {
		r = frontEnd(r)
	}
	in, status := receive(r)
	if status != 0 {
		w.WriteHeader(status)
		return
	}
	f, ok := h.root.match(in.Method, in.path)
	switch {
	case in.path == "/":
		h.homepage(w)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case !h.authorized(f, r):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		h.invokeHTTP(w, in)
	}
}

// homepage simulates HomepageMiddleware.
func (h *Host) homepage(w http.ResponseWriter) {
	if off, _ := lookup(h.Settings, "AzureWebJobsDisableHomepage"); strings.EqualFold(off, "true") {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<!DOCTYPE html><title>Your Azure Function App is up and running.</title>\n"))
}

// authorized checks the key of functions that are not anonymous.
func (h *Host) authorized(f Function, r *http.Request) bool {
	trigger, _ := f.trigger("httpTrigger")
	level := strings.ToLower(trigger.AuthLevel)
	if level == "anonymous" {
		return true
	}
	key := r.Header.Get("x-functions-key")
	if key == "" {
		key = r.URL.Query().Get("code")
	}
	return key != "" && (key == h.MasterKey || level != "admin" && key == h.FunctionKey)
}

// invokeHTTP calls the handler once it is ready. Whatever fails, the client gets an empty 500.
func (h *Host) invokeHTTP(w http.ResponseWriter, in incoming) {
	for name, value := range h.root.Host.CustomHeaders {
		w.Header().Set(name, value)
	}
	if !headersAreASCII(in.Header) || in.buffer(w) != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	worker, err := h.await(in.Context())
	if err != nil {
		http.Error(w, "Function host is not running.", http.StatusServiceUnavailable)
		return
	}
	err = h.root.Host.mode()(h, w, in, worker, newInvocation())
	if errors.Is(err, errFunctionTimeout) {
		h.replace(worker)
	}
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// errFunctionTimeout ends an invocation and the handler.
var errFunctionTimeout = errors.New("the invocation took longer than functionTimeout: the host kills the handler")

// mode is how a request reaches the handler. Proxying takes precedence over forwarding.
type mode func(h *Host, w http.ResponseWriter, in incoming, to *worker, invocation string) error

func (f HostFile) mode() mode {
	switch {
	case f.Handler.Proxying:
		return (*Host).proxy
	case f.Handler.Forwarding:
		return (*Host).forward
	}
	return nil
}

// The headers that the host adds to every call.
const (
	hostVersionHeader  = "X-Azure-Functions-HostVersion"
	invocationIDHeader = "X-Azure-Functions-InvocationId"
	userAgent          = "Azure-Functions-Host/" + Version
)

func newInvocation() string { return problem.NewCorrelation() }
