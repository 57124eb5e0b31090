// Package hosttest is a simulated Azure Functions host for tests of a custom handler. It reads a
// script root as the host does, and starts the handler that host.json names. It calls the handler
// over HTTP with the peculiarities of the host:
//
//	host := &hosttest.Host{Root: "dist", Settings: []string{"FHIRLINK_ALLOWED_TENANTS=*"}}
//	url := hosttest.Serve(t, host)           // http.Get(url + "/api/health")
//	host.RunTimer(ctx, "secret-expiry", hosttest.Timer{PastDue: true})
//	host.Kill()                              // SIGKILL: there is no SIGTERM from this host
//
// The behaviour was measured on a Functions host 4.1037 (forwarding), and on YARP 2.1.0 and 2.3.0
// (proxying); tables_test.go has the tables. What was not measured is taken from the source of
// Azure/azure-functions-host, and has a test that names the file. Extensions, bindings other than
// HTTP and timer, keys in storage, and schedules are not simulated: a test decides when a timer
// runs. Neither are HTTP functions with further bindings, which the host would send as JSON
// envelopes.
package hosttest
