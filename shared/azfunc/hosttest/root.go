package hosttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// ScriptRoot is a folder as the host reads it.
type ScriptRoot struct {
	Dir       string
	Host      HostFile
	Functions []Function       // by name
	Errors    map[string]error // why the host leaves a function out, by name of its folder
}

// Function is one function.json.
type Function struct {
	Name     string
	Bindings []Binding
	route    template
}

// Binding holds the properties of a binding that this host uses.
type Binding struct {
	Type      string
	Direction string
	Name      string
	AuthLevel string // anonymous, function (the default) or admin
	Methods   []string
	Route     string
	Schedule  string // with %NAME% expanded
}

// ReadRoot reads host.json and the function.json of every direct child. The settings (NAME=value)
// override host.json and expand %NAME% in schedules.
func ReadRoot(dir string, settings []string) (ScriptRoot, error) {
	file, err := ReadHostFile(dir, settings)
	if err != nil {
		return ScriptRoot{}, err
	}
	root := ScriptRoot{Dir: dir, Host: file, Errors: map[string]error{}}
	children, err := os.ReadDir(dir)
	if err != nil {
		return ScriptRoot{}, err
	}
	for _, child := range children {
		data, err := os.ReadFile(filepath.Join(dir, child.Name(), "function.json"))
		if err != nil {
			continue // not the folder of a function
		}
		f, err := parseFunction(child.Name(), data, file.RoutePrefix, settings)
		if err != nil {
			root.Errors[child.Name()] = err
			continue
		}
		root.Functions = append(root.Functions, f)
	}
	return root, nil
}

// Err joins the errors of single functions. The host runs without those functions.
func (r ScriptRoot) Err() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.Errors)) {
		errs = append(errs, fmt.Errorf("%s/function.json: %w", name, r.Errors[name]))
	}
	return errors.Join(errs...)
}

// Function returns the function with the given name, ignoring case.
func (r ScriptRoot) Function(name string) (Function, bool) {
	for _, f := range r.Functions {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return Function{}, false
}

// match returns the first function whose route and methods match a request.
func (r ScriptRoot) match(method, path string) (Function, bool) {
	for _, f := range r.Functions {
		trigger, ok := f.trigger("httpTrigger")
		if ok && trigger.allows(method) && f.route.match(path) {
			return f, true
		}
	}
	return Function{}, false
}

var (
	functionName = regexp.MustCompile(`^(?i)[a-z][a-z0-9_-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9]*|\$return)$`)
)

func parseFunction(name string, data []byte, prefix string, settings []string) (Function, error) {
	if !functionName.MatchString(name) || strings.EqualFold(name, "host") {
		return Function{}, fmt.Errorf("%q is not a valid function name", name)
	}
	f := Function{Name: name}
	if err := json.Unmarshal(data, &f); err != nil {
		return Function{}, err
	}
	if len(f.Bindings) == 0 {
		return Function{}, errors.New("at least one binding must be declared")
	}
	for i := range f.Bindings {
		if err := f.Bindings[i].check(settings); err != nil {
			return Function{}, err
		}
	}
	return f, f.parseRoute(prefix)
}

func (b *Binding) check(settings []string) error {
	if !bindingName.MatchString(b.Name) {
		return fmt.Errorf("the binding name %q is invalid", b.Name)
	}
	if b.Type == "timerTrigger" {
		return b.checkSchedule(settings)
	}
	return nil
}

// checkSchedule expands %NAME% and checks the number of fields: five or six for a cron
// expression, one for a time span.
func (b *Binding) checkSchedule(settings []string) error {
	if name, ok := strings.CutPrefix(b.Schedule, "%"); ok {
		name = strings.TrimSuffix(name, "%")
		value, ok := lookup(settings, name)
		if !ok {
			return fmt.Errorf("'%%%s%%' does not resolve to a value: the setting %s is missing", name, name)
		}
		b.Schedule = value
	}
	if n := len(strings.Fields(b.Schedule)); n != 1 && n != 5 && n != 6 {
		return fmt.Errorf("the schedule expression %q was not recognized as a valid cron expression or timespan string", b.Schedule)
	}
	return nil
}

func (f *Function) parseRoute(prefix string) (err error) {
	trigger, ok := f.trigger("httpTrigger")
	if !ok {
		return nil
	}
	route := trigger.Route
	if route == "" {
		route = f.Name
	}
	if first, _, _ := strings.Cut(strings.ToLower(route), "/"); first == "admin" || first == "runtime" {
		return fmt.Errorf("the route %q begins with a reserved word", route)
	}
	f.route, err = parseTemplate(strings.TrimPrefix(prefix+"/"+route, "/"))
	return err
}

// trigger returns the binding of the given type.
func (f Function) trigger(kind string) (Binding, bool) {
	i := slices.IndexFunc(f.Bindings, func(b Binding) bool { return strings.EqualFold(b.Type, kind) })
	if i < 0 {
		return Binding{}, false
	}
	return f.Bindings[i], true
}

// plainHTTP reports whether the host sends the request itself to the handler: if there is exactly
// one httpTrigger in and one http out. Otherwise the host sends an envelope.
func (f Function) plainHTTP() bool {
	var in, out []string
	for _, b := range f.Bindings {
		if strings.EqualFold(b.Direction, "out") {
			out = append(out, strings.ToLower(b.Type))
		} else {
			in = append(in, strings.ToLower(b.Type))
		}
	}
	return slices.Equal(in, []string{"httptrigger"}) && slices.Equal(out, []string{"http"})
}

// allows reports whether the binding accepts method. A binding without a list accepts all methods.
// A list does not include HEAD and OPTIONS unless it names them.
func (b Binding) allows(method string) bool {
	return b.Methods == nil || slices.ContainsFunc(b.Methods, func(m string) bool { return strings.EqualFold(m, method) })
}

// lookup returns the value of the last NAME=value with the given name.
func lookup(settings []string, name string) (string, bool) {
	for _, setting := range slices.Backward(settings) {
		if n, value, ok := strings.Cut(setting, "="); ok && n == name {
			return value, true
		}
	}
	return "", false
}
