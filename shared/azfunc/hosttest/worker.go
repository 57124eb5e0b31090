package hosttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// worker is one process of the handler.
type worker struct {
	cmd     *exec.Cmd
	address string // 127.0.0.1:port
	idle    chan *connection
	ready   chan struct{} // closed by the first HTTP answer
	exited  chan struct{}
	dropped context.Context // ends when the host abandons the process
	drop    context.CancelFunc
}

// pollInterval is the host's WorkerConstants.WorkerReadyCheckPollingIntervalMilliseconds.
const pollInterval = 25 * time.Millisecond

// newWorker starts a process. All processes of a host get the same port, which it chooses once.
func (h *Host) newWorker() (*worker, error) {
	if h.port == 0 {
		h.port = h.root.Host.Handler.Port
	}
	if h.port == 0 {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		h.port = free
	}
	cmd, err := h.command(h.port)
	if err != nil {
		return nil, err
	}
	w := &worker{
		cmd:     cmd,
		address: "127.0.0.1:" + strconv.Itoa(h.port),
		idle:    make(chan *connection, 256),
		ready:   make(chan struct{}),
		exited:  make(chan struct{}),
	}
	w.dropped, w.drop = context.WithCancel(context.Background())
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the handler: %w", err)
	}
	return w, nil
}

func (h *Host) command(port int) (*exec.Cmd, error) {
	root, err := filepath.Abs(h.Root)
	if err != nil {
		return nil, err
	}
	handler := h.root.Host.Handler
	executable := handler.Executable
	if path := filepath.Join(root, executable); isFile(path) {
		executable = path
	}
	var arguments []string
	for _, argument := range handler.Arguments {
		arguments = append(arguments, h.expand(argument))
	}
	id := newInvocation()
	cmd := exec.Command(executable, arguments...)
	cmd.Dir = filepath.Join(root, handler.WorkingDirectory)
	cmd.Env = append(append([]string{}, h.Settings...),
		"FUNCTIONS_CUSTOMHANDLER_PORT="+strconv.Itoa(port), "FUNCTIONS_HTTPWORKER_PORT="+strconv.Itoa(port),
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+id, "FUNCTIONS_HTTPWORKER_ID="+id,
		"FUNCTIONS_APP_ROOT_PATH="+root)
	cmd.Stdout = &console{write: h.fromStdout}
	cmd.Stderr = &console{write: h.fromStderr}
	// A child that outlives the handler must not block Wait.
	cmd.WaitDelay = time.Second
	return cmd, nil
}

var settingInArgument = regexp.MustCompile(`%[^%]+%`)

// expand replaces %NAME% with the setting's value, or with nothing if it is not set.
func (h *Host) expand(argument string) string {
	return settingInArgument.ReplaceAllStringFunc(argument, func(name string) string {
		value, _ := lookup(h.Settings, strings.Trim(name, "%"))
		return value
	})
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

var errNotReady = errors.New("the handler did not answer GET / within customHandler.initializationTimeout")

// poll requests / until it gets any HTTP answer. Only a refused connection means that the handler
// is not ready; any other failure counts as an answer.
func (w *worker) poll(budget time.Duration) error {
	ctx, cancel := context.WithTimeout(w.dropped, budget)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if w.answers(ctx) {
			close(w.ready)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errNotReady
		}
	}
}

func (w *worker) answers(ctx context.Context) bool {
	answer, err := w.send(ctx, &delivery{method: http.MethodGet, target: "/", host: w.address})
	if err != nil {
		return !isConnect(err) && ctx.Err() == nil
	}
	_ = answer.Body.Close() // any answer will do
	return true
}

// isConnect reports whether err means that no connection was made: .NET's SocketException.
func isConnect(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// kill ends the process as the host does, with SIGKILL and without warning.
func (w *worker) kill() {
	w.drop()
	_ = w.cmd.Process.Kill() // it may have ended by itself
	<-w.exited
	for {
		select {
		case c := <-w.idle:
			_ = c.Close() // the process is gone
		default:
			return
		}
	}
}
