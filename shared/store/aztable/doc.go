// Package aztable is the database in Azure Table Storage. It implements the contract of every
// kind of record with the SDK's aztables.
//
// All rows are in one table. A link and its entry in the schedule share a partition, so that one
// entity group transaction can change both.
//
//	PartitionKey      RowKey                         The row
//	s00 … s3f         L_<slug>                       a link
//	s00 … s3f         X_<due, µs since 1970>_<slug>  its entry in the schedule
//	s00 … s3f         R_<slug>                       its last report
//	o<tenant>         <slug>                         its entry in the organization's roster
//	e<tenant>_<slug>  <ID>                           an event of its trail
//	w<tenant>         <ID>                           a webhook endpoint of the organization
//	cells             <name>                         a cell
//
// The SDK retries after a lost answer. The answer to the retry is then a 404, 409 or 412 although
// the first try took effect. So the driver reads the row again after every such answer. CreateOp,
// which never changes, shows whether the driver's own insert took effect; OpIDs show it for an
// update.
//
// Each kind of record has its own file with its methods, keys and properties. The other files
// contain what the kinds share.
//
// https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
package aztable
