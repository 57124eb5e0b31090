// Package eventgrid publishes the events of all organizations to one Azure Event Grid custom
// topic, which belongs to the operator of the program. It implements [notify.Channel].
// Subscriptions to the topic decide where the events go; each event's source names its
// organization.
//
// The topic's input schema must be CloudEvents 1.0. The program's identity needs the role
// EventGrid Data Sender on the topic; no key of the topic is used.
//
// https://learn.microsoft.com/azure/event-grid/cloud-event-schema
// https://learn.microsoft.com/azure/event-grid/authenticate-with-microsoft-entra-id
package eventgrid
