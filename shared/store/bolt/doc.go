// Package bolt is the database in one embedded file. It implements the contract of every kind of
// record with bbolt.
//
// A bucket holds one kind of record:
//
//	Bucket        Key                     Value
//	links         slug                    a link's row, as JSON
//	links.due     due time, slug          nothing: a link's entry in the schedule
//	links.roster  organization, slug      the receipt of the entry in the roster
//	links.trail   organization, slug, ID  an event of the trail, as JSON
//	links.report  slug                    the link's last report, as JSON
//	links.cells   name                    a cell, as JSON
//	webhooks      organization, ID        a webhook endpoint's row, as JSON
//
// A NUL separates the parts of a key. The due time has a fixed length of 8 bytes and needs none.
//
// A link and its entry in the schedule change in one transaction. No transaction is open while a
// caller's function runs, so that function may use the store.
//
// Each kind of record has its own file with its bucket, keys and methods. The file store.go
// contains what the kinds share.
package bolt
