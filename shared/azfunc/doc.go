// Package azfunc reads and writes the envelope that the Azure Functions host exchanges with a
// custom handler for triggers other than HTTP. Source: Microsoft Learn, "Azure Functions custom
// handlers", Request payload and Response payload.
//
// The host POSTs {"Data":{binding:…},"Metadata":{…}} to /{function name}, usually chunked. It
// writes objects as objects, but every other value as a string that holds JSON. Dates may lack an
// offset, and ScheduleStatus is null if the host keeps none. So this package reads only what it
// needs, and treats unreadable values as missing.
package azfunc
