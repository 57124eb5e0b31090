// Package azfunc is the envelope in which the Azure Functions host calls a custom handler
// for triggers other than HTTP, and takes its answer (Microsoft Learn, "Azure Functions
// custom handlers", Request payload and Response payload).
//
// The host POSTs {"Data":{binding:…},"Metadata":{…}} to /{function name}, usually chunked. It
// writes objects as objects but every other value as a string that holds JSON, dates with or
// without an offset, and leaves ScheduleStatus null when it keeps none. So only what is
// needed is read, and what cannot be read is taken as not given.
package azfunc
