package hosttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HostFile holds the values of host.json, or the host's defaults. Unknown keys are ignored, as
// the host does.
type HostFile struct {
	FunctionTimeout time.Duration // 30 min
	RoutePrefix     string        // api
	CustomHeaders   map[string]string
	Handler         Handler
}

// Handler is the section customHandler.
type Handler struct {
	Executable            string
	WorkingDirectory      string
	Arguments             []string
	ErrorsOnStderr        bool // whether stderr is only for errors: true
	Forwarding            bool
	Proxying              bool
	Port                  int           // 0: a free one
	InitializationTimeout time.Duration // 30 s
}

// overridePrefix begins the settings that override a value of host.json, with __ between levels
// (Microsoft Learn, "host.json reference", Override host.json values).
const overridePrefix = "AzureFunctionsJobHost__"

// ReadHostFile reads host.json in root. The settings (NAME=value) may override it.
func ReadHostFile(root string, settings []string) (HostFile, error) {
	data, err := os.ReadFile(filepath.Join(root, "host.json"))
	if err != nil {
		return HostFile{}, fmt.Errorf("the script root has no host.json: %w", err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return HostFile{}, fmt.Errorf("host.json: %w", err)
	}
	for _, setting := range settings {
		if path, ok := strings.CutPrefix(setting, overridePrefix); ok {
			name, value, _ := strings.Cut(path, "=")
			override(tree, strings.Split(name, "__"), value)
		}
	}
	return parseHostFile(tree)
}

// override sets the value at path. Names are compared without case.
func override(tree map[string]any, path []string, value string) {
	name := path[0]
	for key := range tree {
		if strings.EqualFold(key, name) {
			name = key
		}
	}
	if len(path) == 1 {
		tree[name] = value
		return
	}
	below, ok := tree[name].(map[string]any)
	if !ok {
		below = map[string]any{}
		tree[name] = below
	}
	override(below, path[1:], value)
}

func parseHostFile(tree map[string]any) (HostFile, error) {
	data, err := json.Marshal(tree)
	if err != nil {
		return HostFile{}, err
	}
	file := rawHostFile{FunctionTimeout: "00:30:00"}
	file.Extensions.HTTP.RoutePrefix = "api"
	file.CustomHandler.InitializationTimeout = "00:00:30"
	file.CustomHandler.Description.UseStdErrorStreamForErrorsOnly = true
	if err := json.Unmarshal(data, &file); err != nil {
		return HostFile{}, fmt.Errorf("host.json: %w", err)
	}
	return file.parse()
}

type rawHostFile struct {
	Version         string
	FunctionTimeout string
	Extensions      struct {
		HTTP struct {
			RoutePrefix   string
			CustomHeaders map[string]string
		}
	}
	CustomHandler struct {
		Description struct {
			DefaultExecutablePath, DefaultWorkerPath, WorkingDirectory string
			Arguments, WorkerArguments                                 []string
			UseStdErrorStreamForErrorsOnly                             flag
		}
		EnableForwardingHTTPRequest flag `json:"enableForwardingHttpRequest"`
		EnableProxyingHTTPRequest   flag `json:"enableProxyingHttpRequest"`
		Port                        int
		InitializationTimeout       string
		HTTP                        struct{ Routes []any }
	}
}

func (f rawHostFile) parse() (HostFile, error) {
	handler := f.CustomHandler
	timeout, err1 := parseTimeSpan(f.FunctionTimeout)
	initialization, err2 := parseTimeSpan(handler.InitializationTimeout)
	errs := []error{named("functionTimeout", err1), named("customHandler.initializationTimeout", err2)}
	if f.Version != "2.0" {
		errs = append(errs, fmt.Errorf("host.json: version is %q, the host wants 2.0", f.Version))
	}
	if handler.Description.DefaultExecutablePath == "" {
		errs = append(errs, errors.New("host.json: customHandler.description.defaultExecutablePath is missing"))
	}
	if len(handler.HTTP.Routes) > 0 {
		errs = append(errs, errors.New("host.json: customHandler.http.routes cannot stand beside any function.json"))
	}
	arguments := handler.Description.Arguments
	if path := handler.Description.DefaultWorkerPath; path != "" {
		arguments = append(slices.Clone(arguments), path)
	}
	return HostFile{
		FunctionTimeout: timeout,
		RoutePrefix:     strings.Trim(f.Extensions.HTTP.RoutePrefix, "/"),
		CustomHeaders:   maps.Clone(f.Extensions.HTTP.CustomHeaders),
		Handler: Handler{
			Executable:            handler.Description.DefaultExecutablePath,
			WorkingDirectory:      handler.Description.WorkingDirectory,
			Arguments:             append(slices.Clone(arguments), handler.Description.WorkerArguments...),
			ErrorsOnStderr:        bool(handler.Description.UseStdErrorStreamForErrorsOnly),
			Forwarding:            bool(handler.EnableForwardingHTTPRequest),
			Proxying:              bool(handler.EnableProxyingHTTPRequest),
			Port:                  handler.Port,
			InitializationTimeout: initialization,
		},
	}, errors.Join(errs...)
}

func named(key string, err error) error {
	if err != nil {
		return fmt.Errorf("host.json: %s: %w", key, err)
	}
	return nil
}

// flag is a bool that may be written as a string, as .NET's configuration allows.
type flag bool

// UnmarshalJSON accepts true, "true" and "True", and likewise for false.
func (f *flag) UnmarshalJSON(data []byte) error {
	b, err := strconv.ParseBool(strings.ToLower(strings.Trim(string(data), `"`)))
	*f = flag(b)
	return err
}

// parseTimeSpan parses .NET's constant TimeSpan format, [d.]hh:mm:ss[.fffffff]. It does not
// accept the host's -1 for no limit.
func parseTimeSpan(text string) (time.Duration, error) {
	days, clock := "0", text
	if i := strings.IndexByte(text, '.'); i >= 0 && i < strings.IndexByte(text, ':') {
		days, clock = text[:i], text[i+1:]
	}
	parts := strings.Split(clock, ":")
	if len(parts) != 3 {
		return 0, fmt.Errorf("%q is not a time span such as 00:05:00", text)
	}
	d, err := time.ParseDuration(parts[0] + "h" + parts[1] + "m" + parts[2] + "s")
	n, err2 := strconv.Atoi(days)
	if err != nil || err2 != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a time span such as 00:05:00", text)
	}
	return time.Duration(n)*24*time.Hour + d, nil
}
